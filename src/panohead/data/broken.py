"""Pictures that cannot be read: named once, skipped up to a limit, then listed."""

import warnings
from collections.abc import Mapping
from itertools import islice

from panohead.errors import PanoHeadError

NAMES_LISTED = 20


class BrokenFile(PanoHeadError):
    """One picture or mask cannot be used.

    Args:
        file: what to call it.
        sentence: what is wrong with it and how to mend that.
    """

    def __init__(self, file: str, sentence: str) -> None:
        super().__init__(sentence)
        self.file = file


class BrokenPhotos:
    """The files of a dataset that turned out to be unreadable.

    Args:
        limit: so many different files are borne.

    Attributes:
        sentences: what is wrong with each of them.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.sentences: dict[str, str] = {}

    def report(self, found: Mapping[str, str]) -> None:
        """Remember files and their sentences; those not known yet are warned about.

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
        """The error that lists all of them: the first 20 names and how many more."""
        count = len(self.sentences)
        if count == 1:
            return PanoHeadError(next(iter(self.sentences.values())))
        names = ", ".join(islice(self.sentences, NAMES_LISTED))
        more = f" and {count - NAMES_LISTED} more" if count > NAMES_LISTED else ""
        return PanoHeadError(
            f"{count} files of the dataset cannot be used ({self.limit} are borne), mend or remove them: "
            f"{names}{more}; the first one: {next(iter(self.sentences.values()))}"
        )
