"""The end of a command's process: nothing that was promised for the exit is lost."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import atexit, sys, threading, time
from panohead.system.process_end import end_process
atexit.register(lambda: open(sys.argv[1], "a").write("registered"))
def slow():
    time.sleep(0.3)
    open(sys.argv[1], "a").write("thread ")
threading.Thread(target=slow).start()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
sys.stdout.write("said")
sys.stderr.write("warned")
end_process(3)
"""


def test_threads_and_registered_functions_run_and_streams_are_flushed(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "notes")], capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stdout, found.stderr) == (3, "said", "warned")
    assert (tmp_path / "notes").read_text() == "thread registered"


def test_a_closed_output_is_no_matter() -> None:
    code = "import sys; from panohead.system.process_end import end_process; sys.stdout.close(); end_process(0)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")
