"""Exceptions for errors that the user can fix."""


class PanoHeadError(Exception):
    """Bad input or a missing dependency, described in one sentence that names the file and the remedy.

    The command line prints the sentence and exits with 1; ``--debug`` shows the traceback.
    """


class UsageError(PanoHeadError):
    """Option or argument with an impossible value; the command line exits with 2."""


class NoSurfaceError(PanoHeadError):
    """A head without a surface at the requested density level, so that no mesh exists."""
