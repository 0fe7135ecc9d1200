"""Matching of files by their names, one way everywhere: labels, masks and poses to their images.

Two names belong together when they are equal; or equal but for suffix, case and the way to write a letter (Unicode); or
when one is the end of the other's path; or when one is the other with its folders written into the name
(``a_b_1.png`` for ``a/b/1.png``); or when the words of masks (``1_mask.png``) or the folder ``images`` or ``masks`` is
all that they differ in. Whatever matches several files equally well matches none.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property

from panohead.errors import PanoHeadError

EXAMPLES = 3
"""Names of both sides in the error for names that do not match."""
_WORDS = re.compile(r"(?<=.)[ ._-]?(mask|masks|matte|matting|alpha|seg|segmentation|foreground|fg)$")
_WORDS_BEFORE = re.compile(r"^(mask|masks|matte|alpha|seg)[ ._-](?=.)")
_IMAGE_SUFFIX = re.compile(r"(?<=[^/])\.(png|jpe?g|webp|bmp|tiff?|gif)$")
_FOLDERS = {"images", "image", "img", "imgs", "photos", "masks", "mask", "mattes", "labels", "data"}


class NameIndex:
    """Names of files to be found by the names of others.

    Args:
        names: relative paths, with slashes of either kind.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    @cached_property
    def _exact(self) -> dict[str, str]:
        return {_plain(name): name for name in self.names}

    @cached_property
    def _by_last(self) -> dict[str, list[str]]:
        """The names by each of their keys."""
        found: dict[str, list[str]] = {}
        for name in self.names:
            for key in _keys(_stem(name)):
                found.setdefault(key, []).append(name)
        return found

    def find(self, name: str) -> str | None:
        """Return the name that belongs to ``name``; None when there is none, or no single one."""
        if (exact := self._exact.get(_plain(name))) is not None:
            return exact
        stem = _stem(name)
        candidates = {other: None for key in sorted(_keys(stem)) for other in self._by_last.get(key, [])}
        ranked = [(rank, other) for other in candidates if (rank := _likeness(stem, _stem(other))) is not None]
        best = max(ranked, default=None)
        # Two files that fit equally well: to take one of them would be a guess.
        if best is None or sum(rank == best[0] for rank, _ in ranked) > 1:
            return None
        return best[1]

    def ambiguous(self, wanted: Sequence[str], found: Sequence[str | None]) -> dict[str, list[str]]:
        """Return the names that were found for several of ``wanted`` of different paths, with those."""
        users: dict[str, list[str]] = {}
        for name, other in zip(wanted, found, strict=True):
            if other is not None:
                users.setdefault(other, []).append(name)
        return {other: names for other, names in users.items() if len({_stem(name) for name in names}) > 1}


def match_names(wanted: Sequence[str], offered: Iterable[str], what: str, where: str) -> list[str]:
    """Return the offered name that belongs to each wanted one.

    Args:
        what: what the offered names are of, such as "mask".
        where: path of the file or folder with the offered names, for the error.

    Raises:
        PanoHeadError: when one is missing, or serves two; names examples of both sides.
    """
    index = NameIndex(offered)
    found = [index.find(name) for name in wanted]
    missing = [name for name, other in zip(wanted, found, strict=True) if other is None]
    if missing:
        of_all = "" if len(missing) == 1 else f"{len(missing)} of {len(wanted)} images, such as "
        theirs = f"its {what}s are called {_some(index.names)}" if index.names else f"it holds no {what} at all"
        raise PanoHeadError(
            f"{where} has no {what} for {of_all}{_some(missing)}; {theirs}; give every image a {what} of its own name "
            "(folders and suffixes may differ), or remove it"
        )
    shared = index.ambiguous(wanted, found)
    if shared:
        other, names = next(iter(shared.items()))
        raise PanoHeadError(
            f"{where}: the {what} {other} fits {_some(names)} alike; put the {what}s into folders like those of the "
            "images"
        )
    return [other for other in found if other is not None]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def _plain(name: str) -> str:
    """Return a name with forward slashes, composed letters, and without a leading ``./``."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def _stem(name: str) -> str:
    stem = posixpath.splitext(_plain(name))[0].casefold()
    # Tools that make masks append their suffix to the image's: 1.jpg.png.
    return _IMAGE_SUFFIX.sub("", stem)


def _keys(stem: str) -> set[str]:
    """Return the names of a file without its folders, of which those that belong together share one."""
    last, flat = posixpath.basename(stem), _flat(stem)
    return {last, _without_words(last), flat, _without_words(flat)}


def _flat(stem: str) -> str:
    return stem.replace("/", "_")


def _without_words(text: str) -> str:
    return _WORDS_BEFORE.sub("", _WORDS.sub("", text))


def _likeness(stem: str, other: str) -> tuple[int, int] | None:
    """Return how well two stems match, larger for better; None when they do not."""
    if stem == other:
        return 6, 0
    mine, theirs = stem.split("/"), other.split("/")
    if (rank := _ending(mine, theirs)) is not None:
        return 5, rank
    if _flat(stem) == _flat(other):
        return 4, 0
    bare_mine, bare_theirs = _without_folders(mine), _without_folders(theirs)
    if (rank := _ending(bare_mine, bare_theirs)) is not None:
        return 3, rank
    worded = [*bare_mine[:-1], _without_words(bare_mine[-1])], [*bare_theirs[:-1], _without_words(bare_theirs[-1])]
    if (rank := _ending(*worded)) is not None:
        return 2, rank
    return (1, 0) if _without_words(_flat(stem)) == _without_words(_flat(other)) else None


def _ending(mine: list[str], theirs: list[str]) -> int | None:
    """Return the number of common parts when one path is the end of the other, else None."""
    count = min(len(mine), len(theirs))
    return count if mine[-count:] == theirs[-count:] else None


def _without_folders(parts: list[str]) -> list[str]:
    start = 0
    while start < len(parts) - 1 and parts[start] in _FOLDERS:
        start += 1
    return parts[start:]
