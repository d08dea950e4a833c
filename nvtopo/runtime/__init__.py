"""Waiting, retrying and running worker processes, for every package above."""
