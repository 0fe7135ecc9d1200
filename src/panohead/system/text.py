"""Names and notes from outside as text that can be shown, printed and written anywhere."""


def printable(text: str) -> str:
    """Return the text with everything that does not print spelled out: line breaks, controls, lone surrogates.

    Bidirectional controls, which would reorder what stands around them, and invisible characters are among them.
    """
    valid = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in valid)


def shortened(text: str, limit: int = 1500) -> str:
    """Return the text with its middle left out if it is longer than ``limit`` characters."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"
