"""``Refused``: nothing of a source can be used."""


class Refused(Exception):
    """Why: one sentence, with what was expected. It does not leave this package."""
