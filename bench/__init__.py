"""Benches: ``bench/NAME`` prints a table for people and, with ``--json``, one JSON object as its last line."""
