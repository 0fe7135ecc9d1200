"""Interactive viewer of heads in a browser (``panohead view``), on viser.

:class:`panohead.viewer.head_viewer.HeadViewer` is all of it. Nothing is imported here: the queue, the rules of
access and the filters of messages and uploads are used and tested without torch and viser.
"""
