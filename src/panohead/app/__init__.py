"""A small web form (``panohead app``), on Gradio: a photo in, a turning head and its mesh out; also a ready Space.

The viewer (``panohead view``) is for looking closely; this is for letting others try it.
"""
