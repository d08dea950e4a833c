"""Output of other tools, read into the same model as a live machine: one module per format, told apart by content.

Nothing here is imported before ``--from`` names a file that is not a capture.
"""
