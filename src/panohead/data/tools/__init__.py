"""Tools for datasets: contents, checks of the labels, the histogram of poses, conversion between layouts, shards."""

from panohead.data.label_check import LabelProblem, check_labels
from panohead.data.tools.convert import Converted, convert_dataset
from panohead.data.tools.dataset import Inspection, inspect_dataset
from panohead.data.tools.image import pose_image
from panohead.data.tools.write_shards import write_shards

__all__ = [
    "Converted",
    "Inspection",
    "LabelProblem",
    "check_labels",
    "convert_dataset",
    "inspect_dataset",
    "pose_image",
    "write_shards",
]
