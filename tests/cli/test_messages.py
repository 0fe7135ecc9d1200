"""Messages in every form: quiet, verbose, as records; progress without a terminal; colors; completion."""

import ast
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

import tiny
from panohead import cli
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import command_classes, main
from panohead.cli.running import progress_bar as bars
from panohead.cli.running.common_options import CommonOptions
from panohead.cli.running.messages import JsonLines, MessageStyle, messages, say, tell
from panohead.cli.running.option_fields import option_fields
from panohead.cli.running.parsing import with_command_first
from panohead.cli.running.progress_bar import progress_bar


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that takes a moment and writes an image."""
    folder = tmp_path_factory.mktemp("model")
    save_checkpoint(folder / "tiny.safetensors", {"G_ema": tiny.generator()}, notes={"about": "A test model."})
    words = ["generate", "--checkpoint", str(folder / "tiny.safetensors"), "--seeds", "0", "--yaws", "0"]
    return [*words, "--no-contact-sheet", "--out", str(folder / "out")]


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_quiet_leaves_errors_and_results(render: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*render, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (re.fullmatch(rf"wrote 1 heads to {re.escape(render[-1])} \(.* heads/s\)\n", out) is not None, err) == (
        True,
        "",
    )
    assert main([*render, "--quiet", "--checkpoint", "missing.safetensors"]) == 1
    assert capsys.readouterr().err.startswith("panohead: ")


def test_quiet_keeps_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", "train", "--preset", "tiny", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["total_kimg"] > 0


def test_what_was_made_is_an_answer_in_every_command() -> None:
    """Where results are, how a stopped command continues, what is missing: no ``say``, which --quiet hides."""
    outcomes = ("wrote", "signed", "trained", "stopped early", "open", "no mesh", "not measured", "left out")
    for path in Path(cli.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say":
                said = ast.unparse(call.args[0]).lstrip("f").strip("'\"")
                assert not said.startswith(outcomes) or said == "wrote {histogram}", f"{path.name}: {said}"


def test_verbose_names_what_is_loaded_and_written(render: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*render, "--verbose"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"panohead: loaded .*tiny\.safetensors \(sha256 [0-9a-f]{16}\) on cpu", said)
    assert re.search(r"panohead: wrote .*yaw\+000\.png", said)
    assert re.search(r"panohead: [\d.]+ s, at most [\d.]+ GB of memory", said)
    assert main(render) == 0
    assert "loaded" not in capsys.readouterr().err


def test_standard_error_is_records_alone(render: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--log-json", *render]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("wrote 1 heads to ")
    found = records(err)
    assert [found[0]["event"], found[-1]["event"]] == ["start", "end"]
    assert found[0]["arguments"] == ["--log-json", *render]
    assert (found[-1]["exit_code"], float(str(found[-1]["seconds"])) > 0) == (0, True)
    last = [entry for entry in found if entry["event"] == "progress"][-1]
    assert (last["what"], last["done"], last["total"]) == ("rendering", 1, 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["generate", "--out", "o", "--checkpoint", "missing.safetensors"], 1, "missing.safetensors"),
        (["generate", "--out", "o", "--seeds", "x"], 2, "'x' are not understood"),
        (["generate", "--out", "o", "--config", "missing.yaml"], 2, "missing.yaml cannot be read"),
        (["generate", "--verbose", "--quiet", "--out", "o"], 2, "exclude each other"),
    ],
)
def test_errors_are_records(
    words: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--log-json"]) == code
    *_, error, end = records(capsys.readouterr().err)
    assert (error["level"], end["event"], end["exit_code"]) == ("error", "end", code)
    assert said in str(error["message"])


def test_what_the_parser_refuses_is_one_record(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--log-json", "--sedes", "3"])
    start, error, end = records(capsys.readouterr().err)
    assert (start["event"], error["level"], end["exit_code"]) == ("start", "error", 2)
    assert "--sedes" in str(error["message"])
    assert not re.search(r"[\u2500-\u257f\x1b]", str(error["message"]))


def test_warnings_and_prints_of_libraries_are_records_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with messages(MessageStyle(log_json=True)):
        print("a library's line", file=sys.stderr)
        print("no end", end="", file=sys.stderr)
        tell("a sentence", "warning")
        assert isinstance(sys.stderr, JsonLines)
    assert sys.stderr is stream
    assert [entry["message"] for entry in records(stream.getvalue())] == ["a library's line", "a sentence", "no end"]


def test_styles_nest_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with messages(CommonOptions(quiet=True)):
        with messages(CommonOptions()):
            say("inside")
        say("not said")
        tell("not told", "warning")
        tell("told")
    say("after")
    out, err = capsys.readouterr()
    assert (out, err) == ("inside\nafter\n", "panohead: told\n")


def test_progress_without_a_terminal_is_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(bars.time, "monotonic", lambda: float(next(clock)))
    with progress_bar("rendering", 8) as bar:
        for _ in range(8):
            bar.advance()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 3 <= len(lines) <= 5, "one in ten seconds"
    assert re.fullmatch(r"rendering: 4 of 8, 0:00:\d\d spent, 0:0\d:\d\d left", lines[0])
    assert lines[-1].startswith("rendering: 8 of 8, ")
    assert "\x1b" not in err
    assert "\r" not in err


def test_progress_of_a_stopped_task_is_not_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("steps", 10, done=2, completes=False) as bar:
        bar.update(5, detail="loss 1")
        bar.note("a note")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a note"
    assert re.fullmatch(r"steps: 5 of 10, 0:00:00 spent, loss 1", lines[1])


def test_progress_counts_from_several_threads(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("work", 400, completes=False) as bar:
        threads = [threading.Thread(target=lambda: [bar.advance() for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "work: 400 of 400" in capsys.readouterr().err


def run_in_terminal(words: list[str], **environment: str) -> str:
    """Output of a command whose streams are a terminal."""
    main_end, other_end = pty.openpty()
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    source = str(Path(tiny.__file__).parents[1] / "src")
    process = subprocess.Popen(
        [sys.executable, "-m", "panohead", *words],
        stdout=other_end, stderr=other_end, stdin=other_end,
        env={**variables, "TERM": "xterm-256color", "PYTHONPATH": source, **environment},
    )  # fmt: skip
    os.close(other_end)
    output = b""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            part = os.read(main_end, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        output += part
    process.wait(60)
    os.close(main_end)
    return output.decode()


def test_no_color_is_obeyed() -> None:
    colors = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[0-9;]*m")
    assert colors.search(run_in_terminal(["doctor", "--help"]))
    assert not colors.search(run_in_terminal(["doctor", "--help"], NO_COLOR="1"))


def test_common_options_may_stand_first() -> None:
    known = command_classes()
    assert with_command_first(["--quiet", "verify", "a", "b"], known) == ["verify", "--quiet", "a", "b"]
    assert with_command_first(["--log_json", "--config", "f", "dataset", "check", "d"], known) == [
        "dataset", "check", "--log_json", "--config", "f", "d",
    ]  # fmt: skip
    assert with_command_first(["--config", "f", "--out", "o"], known) == ["--config", "f", "--out", "o"]
    assert with_command_first(["generate", "--quiet"], known) == ["generate", "--quiet"]
    assert with_command_first(["--help"], known) == ["--help"]


def test_every_command_has_the_common_options() -> None:
    for name, command in command_classes().items():
        assert isinstance(command.__dataclass_fields__["common"].default_factory(), CommonOptions), name
        names = {option.key for option in option_fields(CommonOptions)}
        assert not names & {option.key for option in option_fields(command)}, name


BASH = """
source "$1"
function_name=$(complete -p panohead | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
$function_name panohead "${@: -1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "panohead.bash"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> set[str]:
        ran = subprocess.run(
            ["bash", "-c", BASH, "bash", str(script), "panohead", *words], capture_output=True, text=True, timeout=60
        )
        assert ran.stderr == ""
        return set(ran.stdout.split())

    assert completed("ge") == {"generate"}
    assert completed("generate", "--turn") == {"--turntable"}
    assert {"mp4", "gif", "webm", "png"} <= completed("generate", "--video-format", "")
    assert {"inspect", "check", "convert", "view"} <= completed("dataset", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_are_valid(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert ("#compdef panohead" in script.splitlines()[0]) == (shell == "zsh")
    assert "generate" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here to read it")
    (tmp_path / "script").write_text(script)
    ran = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_shown_warnings_are_notes(capsys: pytest.CaptureFixture[str]) -> None:
    from panohead.cli.main import _show_warning

    with warnings.catch_warnings():
        _show_warning("odd  value", UserWarning, "f.py", 3)
    assert capsys.readouterr().err == "panohead: note: odd value\n"
