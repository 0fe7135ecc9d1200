"""The one exception that means: the user can mend this."""


class PanoHeadError(Exception):
    """Bad input or a missing piece, told in one sentence that names the file and the remedy.

    The command line prints the sentence and exits with 1; ``--debug`` shows the traceback.
    """


class UsageError(PanoHeadError):
    """An option that cannot be meant; the command line exits with 2."""


class NoSurfaceError(PanoHeadError):
    """A head has no surface at the level that was asked for: there is no mesh of it."""
