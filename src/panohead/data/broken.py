"""Images that cannot be read: named once, skipped up to a limit, then listed."""

import warnings
from collections.abc import Mapping
from itertools import islice

from panohead.errors import PanoHeadError

NAMES_LISTED = 20
"""Number of files that the error for too many unreadable ones names."""


class BrokenFile(PanoHeadError):
    """Error for one image or mask that cannot be used.

    Args:
        file: its name in messages.
        sentence: the problem and its remedy.
    """

    def __init__(self, file: str, sentence: str) -> None:
        super().__init__(sentence)
        self.file = file


class BrokenPhotos:
    """The unreadable files of a dataset that were found so far.

    Args:
        limit: number of different files that are tolerated.

    Attributes:
        sentences: the problem of each file, by its name.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.sentences: dict[str, str] = {}

    def report(self, found: Mapping[str, str]) -> None:
        """Add files with their sentences; warn about those not known yet.

        Raises:
            PanoHeadError: when there are more than the limit by now; it lists them.
        """
        fresh = {file: sentence for file, sentence in found.items() if file not in self.sentences}
        self.sentences.update(fresh)
        if len(self.sentences) > self.limit:
            raise self.error()
        for sentence in fresh.values():
            warnings.warn(f"{sentence} (the next readable photo takes its place)", RuntimeWarning, stacklevel=3)

    def error(self) -> PanoHeadError:
        """Return the error that lists all of them: the first 20 names and the number of the others."""
        count = len(self.sentences)
        if count == 1:
            return PanoHeadError(next(iter(self.sentences.values())))
        names = ", ".join(islice(self.sentences, NAMES_LISTED))
        more = f" and {count - NAMES_LISTED} more" if count > NAMES_LISTED else ""
        return PanoHeadError(
            f"{count} files of the dataset cannot be used ({self.limit} are tolerated), repair or remove them: "
            f"{names}{more}; the first one: {next(iter(self.sentences.values()))}"
        )
