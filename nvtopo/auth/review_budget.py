"""How many reviews one client may cause: a token bucket for each address. Pure: the caller passes the time."""

import ipaddress
import math
from typing import Final

from nvtopo.auth.lru import Lru
from nvtopo.runtime.token_bucket import TokenBucket

BURST: Final = 20
PER_SECOND: Final = 5.0
_MOST_CLIENTS: Final = 1024
_IPV6_PREFIX: Final = 64
"""One host has that many IPv6 addresses to itself."""


class ReviewBudget:
    """One bucket for each IPv4 address and each IPv6 /64. Not thread-safe."""

    def __init__(self) -> None:
        self._buckets: Lru[str, TokenBucket] = Lru(_MOST_CLIENTS)

    def take(self, address: str, now: float) -> bool:
        """Charge one review to this client; False if it has none left (monotonic seconds)."""
        return self._bucket(address).take(now)

    def retry_after_seconds(self, address: str, now: float) -> int:
        """Whole seconds until this client may cause another."""
        return max(1, math.ceil(self._bucket(address).seconds_until_next(now)))

    def _bucket(self, address: str) -> TokenBucket:
        client = client_of(address)
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = TokenBucket(BURST, PER_SECOND)
            self._buckets.put(client, bucket)
        return bucket


def client_of(address: str) -> str:
    """The address itself for IPv4 (mapped to IPv6 or not), its /64 for IPv6, and any other text as it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _IPV6_PREFIX), strict=False))
