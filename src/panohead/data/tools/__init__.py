"""Looking at, checking, converting and writing datasets."""
