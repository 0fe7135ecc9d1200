"""Operating-system services: atomic files, memory, threads, standard error.

Import from the modules: ``openmp`` has to be imported before torch, so this package imports nothing.
"""

__all__: list[str] = []
