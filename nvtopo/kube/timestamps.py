"""Moments as the API server writes them."""

from datetime import datetime


def unix(text: str) -> float:
    """Seconds since 1970; 0 of what is no moment."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
