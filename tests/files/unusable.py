"""Paths that exist and are no usable file."""

import os
import socket
from pathlib import Path


def make(kind: str, path: Path) -> None:
    """Put something that is no usable file at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket has at most 107 characters
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
            os.chdir(here)
        case "sparse":
            with path.open("wb") as file:
                file.truncate(10**13)
        case "loop":
            path.symlink_to(path)
