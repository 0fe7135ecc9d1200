"""The files of a training run: states, log, snapshots and report."""
