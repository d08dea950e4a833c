"""``--listen HOST:PORT``."""

import ipaddress

from nvtopo.errors import UsageError

_HIGHEST_PORT = 65535


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9745`` or ``[::1]:9745``; port 0 takes a free one.

    Raises:
        UsageError: it is neither.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise UsageError(f"--listen: expected HOST:PORT such as 127.0.0.1:9745, got {text!r}")
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether nobody but this host reaches it."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
