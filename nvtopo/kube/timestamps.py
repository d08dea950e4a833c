"""Moments as the API server writes them."""

from datetime import UTC, datetime


def unix(text: str) -> float:
    """Seconds since 1970; 0 of what is no moment."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def rfc3339(unix: float) -> str:
    """The moment, in whole seconds."""
    return rfc3339_of(datetime.fromtimestamp(unix, UTC))


def rfc3339_of(moment: datetime) -> str:
    """The moment, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(moment: datetime) -> str:
    """The moment in the format of Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
