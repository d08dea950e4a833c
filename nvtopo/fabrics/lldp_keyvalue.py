"""What ``lldpctl -f keyvalue`` prints, as the document that ``lldpctl -f json`` prints of the same neighbours."""

import re
from typing import Any, Final

_LINE: Final = re.compile(r"lldp\.(?P<interface>\S{1,64}?)\.(?P<key>via|(?:chassis|port)\.[^=\s]{1,64})=(?P<value>.*)")
_LOOKS: Final = re.compile(r"^lldp\.\S{1,64}?\.via=", re.MULTILINE)
_FOR_PEOPLE: Final = re.compile(r"^Interface: +\S+, via: ", re.MULTILINE)
_LOOKED_AT: Final = 200_000
_IDS: Final = frozenset({"mac", "local", "ifname", "ip", "ifalias"})

FOR_PEOPLE: Final = "expected what `lldpctl -f json` prints, got what lldpctl prints for people"


def looks_like(text: str) -> bool:
    """Whether it is keys and values."""
    return _LOOKS.search(text[:_LOOKED_AT]) is not None


def is_for_people(text: str) -> bool:
    """Whether it is the text of lldpctl without a format."""
    return _FOR_PEOPLE.search(text[:_LOOKED_AT]) is not None


def document(text: str) -> dict[str, Any]:
    """The neighbours; each begins with the line that says the protocol."""
    interfaces: list[dict[str, Any]] = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        if match["key"] == "via":
            interfaces.append({match["interface"]: {"via": match["value"], "chassis": {"id": []}, "port": {"id": []}}})
        elif interfaces and match["interface"] in interfaces[-1]:
            _put(interfaces[-1][match["interface"]], *match.group("key", "value"))
    return {"lldp": {"interface": interfaces}}


def _put(body: dict[str, Any], key: str, value: str) -> None:
    whose, _, name = key.partition(".")
    if name in _IDS:
        body[whose]["id"].append({"type": name, "value": value})
    elif name in ("name", "descr"):
        body[whose][name] = value
    elif name.endswith(".enabled"):
        capability = {"type": name.removesuffix(".enabled"), "enabled": value}
        body[whose].setdefault("capability", []).append(capability)
