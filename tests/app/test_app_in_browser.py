"""The real form in a real browser: what a press does that follows a cancel at once.

Needs Chromium and the extra ``app``.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from browser import chromium

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio"),
    pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

STATUS = "document.querySelector('#status').innerText"
PRESS = "(part => (part.querySelector('button') || part).click())(document.querySelector('#{}'))"
SECOND_TAB = """
!!document.querySelector("#sample") || [...document.querySelectorAll("button[role=tab]")]
    .filter(button => button.innerText.includes("does not exist")).forEach(button => button.click())
"""
PRESS_AT_ONCE = f"""
new MutationObserver((_, observer) => {{
    if (!{STATUS}.includes("Cancelled.")) return;
    observer.disconnect();
    {PRESS.format("sample")};
}}).observe(document.body, {{subtree: true, childList: true, characterData: true}})
"""


def test_a_press_at_the_moment_of_cancelled_makes_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "_WAIT_S", 400.0)
    program = [sys.executable, str(Path(__file__).with_name("endless_app.py"))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout is not None
            address = app.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            with chromium.chromium(tmp_path / "profile") as tab:
                tab.ask("Page.navigate", url=address)
                tab.until(f"!!document.querySelector('#status') && {STATUS}.includes('Nothing is being made')")
                tab.until(SECOND_TAB)
                for number in (1, 2):
                    if number == 1:
                        tab.value(PRESS.format("sample"))
                    tab.until(f"{STATUS}.includes('{number}0%: head {number}')")
                    tab.value(PRESS_AT_ONCE)
                    tab.value(PRESS.format("cancel"))
                tab.until(f"{STATUS}.includes('30%: head 3')")
                assert not [one for one in tab.requests if "127.0.0.1" not in one and not one.startswith("blob:")]
        finally:
            app.terminate()
