"""Files of a Space: a folder that a host of Gradio apps runs as it is."""

from pathlib import Path

from panohead.errors import PanoHeadError
from panohead.system.atomic_write import write_bytes

_APP = '''"""The form of `panohead app` as a Space."""

from panohead import load
from panohead.app.form import build_form, launch_options

form = build_form(load({checkpoint!r}))
options = launch_options("0.0.0.0", 7860, None)
form.launch(**{{**options, "prevent_thread_lock": False}})
'''
_README = """---
title: PanoHead
emoji: \N{BUST IN SILHOUETTE}
colorFrom: gray
colorTo: blue
sdk: gradio
sdk_version: {gradio}
python_version: "3.12"
app_file: app.py
license: apache-2.0
---

A head to turn, and its mesh, from one photo. Made by `panohead app --write-space`; the package is in requirements.txt.
Results carry a mark that they are synthetic. Only photos of people who agree.
"""


def write_space(folder: Path, checkpoint: str, gradio_version: str) -> list[Path]:
    """Write app.py, README.md and requirements.txt to a folder, which is made.

    Args:
        checkpoint: a bundled name, or a name on a hub; a path of this machine is not there.
        gradio_version: version that the host installs.

    Raises:
        PanoHeadError: when a file is there already, or cannot be written.
    """
    from panohead import __version__

    texts = {
        "app.py": _APP.format(checkpoint=checkpoint),
        "README.md": _README.format(gradio=gradio_version),
        "requirements.txt": f"--extra-index-url https://download.pytorch.org/whl/cpu\npanohead[face,hub]=={__version__}\n",
    }
    paths = [folder / name for name in texts]
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise PanoHeadError(f"{there} exists; give another folder, or remove it")
    for path, text in zip(paths, texts.values(), strict=True):
        write_bytes(path, text.encode())
    return paths
