"""The ``prepare`` pipeline: folders and archives of photos to a dataset of crops, cameras and masks."""
