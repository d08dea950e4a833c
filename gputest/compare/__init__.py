"""Facts of nvtopo and facts of another tool in, rows out: pure functions, one module for each tool.

A difference that is known to be right has its reason here, beside the fact that it is about.
"""
