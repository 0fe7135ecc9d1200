"""Expression capture: the ARKit weights, gaze and head pose of a face in a video of a camera.

Frames by ffmpeg, landmarks by MediaPipe (extra ``face``), weights by a linear model of how landmarks of the CC0 head
basis answer to its expressions.
"""

from panohead.capture.capture import CaptureSettings, capture_expressions

__all__ = ["CaptureSettings", "capture_expressions"]
