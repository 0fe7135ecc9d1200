"""The real form, on Gradio, whose heads are never done: a program that prints its address."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from panohead.app import form
from panohead.app.making import Progress

begun = 0


def head_of_seed(*_: Any, at_end: Callable[[], None]) -> Iterator[Progress]:
    """Tell the number of the press until the iterator is closed."""
    global begun
    begun += 1
    number = begun
    try:
        while True:
            yield Progress(number / 10, f"head {number}")
            time.sleep(0.5)
    finally:
        at_end()


form.head_of_seed = head_of_seed
made: Any = None
_, url, _ = form.build_form(made).launch(**form.launch_options("127.0.0.1", 0, None))
print(url, flush=True)
while True:
    time.sleep(3600)
