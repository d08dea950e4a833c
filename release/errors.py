"""What keeps a release from being made."""


class ReleaseError(Exception):
    """One line for the person who releases."""
