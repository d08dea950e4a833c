"""Which ``Host`` a request may name if nobody is asked for a token: this machine's own names alone.

A page that listens on a loopback address without tokens is open to every process of this machine, its browser included.
A web site whose name is made to resolve to 127.0.0.1 (DNS rebinding) could read it from there, and still names itself
in ``Host``.
"""

import ipaddress
from typing import Final

REFUSED: Final = "Host: expected localhost or a loopback address: without tokens, this page is for this machine alone"


def is_loopback(address: str) -> bool:
    """Whether only this host can reach the address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def is_of_this_machine(host: str) -> bool:
    """Whether a ``Host`` header, with its port or without, names this machine; empty is what no browser sends."""
    name = host.strip().lower()
    if name.startswith("["):
        name, _, port = name[1:].partition("]")
        port = port.removeprefix(":")
    elif name.count(":") == 1:
        name, _, port = name.partition(":")
    else:
        port = ""
    return not host.strip() or ((port.isdecimal() or not port) and is_loopback(name.removesuffix(".")))
