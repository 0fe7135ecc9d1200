"""Several processes that train together: ranks, failure detection, interruption."""
