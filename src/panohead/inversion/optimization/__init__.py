"""Optimization with progress callbacks, stop requests, a log and a file to resume from; the same for every preset."""

from panohead.inversion.optimization.log import OptimizationCallbacks, OptimizationLog, OptimizationStep
from panohead.inversion.optimization.loop import ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.resume_file import ResumeFile
from panohead.inversion.optimization.run import OptimizationRun

__all__ = [
    "OptimizationCallbacks",
    "OptimizationLog",
    "OptimizationRun",
    "OptimizationStep",
    "ParameterGroup",
    "Plateau",
    "ResumeFile",
    "optimize",
]
