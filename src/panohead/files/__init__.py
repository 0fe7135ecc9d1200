"""The only ways by which files from elsewhere come in: regular files of bounded size, images, names, locks.

Import from the modules: most of the package needs one of them only.
"""

__all__: list[str] = []
