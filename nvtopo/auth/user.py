"""Who holds a token."""

from nvtopo.model.records.record import Record


class User(Record, frozen=True, kw_only=True):
    """``UserInfo``: who somebody is, as the API server's authenticators say."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}
