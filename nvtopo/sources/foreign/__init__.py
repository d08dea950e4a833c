"""Output of other tools, read into the same model as a live machine: one module for each format, recognised by content.

Nothing here is imported unless ``--from`` names a file that is not a capture.
"""
