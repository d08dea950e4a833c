"""Takes out what identifies machines and people, so that documents can be given away; equal values stay equal.

Names of nodes and switches, UUIDs, serial numbers, GUIDs, GIDs, addresses and the boot become numbered ones, and what
looks like a secret is taken out. Places, models, names of devices, links and versions stay: they are what it is about.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any, Final

_FIELDS: Final = frozenset(
    ("uuid", "bootId", "nodeGuid", "gid", "clusterUUID", "chassisSerial", "fabricGuid", "adapter")
)
#: Of objects of Kubernetes: what says who wrote them, and is no fact of a machine.
_DROPPED: Final = frozenset(("managedFields", "uid", "ownerReferences", "selfLink"))
_SECRET: Final = re.compile(r"(?i)token|passw|secret|authorization|credential|private.?key|api.?key|cookie")
_SERIAL: Final = re.compile(r"(?i)serial|machine.?id|system.?uuid|asset.?tag")
#: A shorter value is replaced in its field alone: elsewhere the same letters mean something else.
_LEAST: Final = 5
#: A UUID without what stands before it.
_WHOLE: Final = 36
_ONLY_ZEROS: Final = re.compile(r"(?:GPU-)?[0:-]*")
_UUID: Final = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_TAGS: Final = re.compile(
    r"<([a-z_]{0,40}(?:serial|guid|uuid|pdi|process_name|board_id|licen[sc]e)[a-z_]{0,40})>([^<]{0,400})</\1>",
    re.IGNORECASE,
)
_LINES: Final = re.compile(
    r"(?im)^([ \t]{0,40}[A-Za-z ]{0,40}(?:serial|guid|uuid|pdi|process name)[A-Za-z ]{0,40}[:=][ \t]{0,40})(\S.*)$"
)
_PROCESSES: Final = ("processes", "accounted_processes")
_ABSENT: Final = ("N/A", "[N/A]", "")
_MAC_OR_ADDRESS: Final = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b(?![:.])", re.IGNORECASE)
_MAC: Final = "00:00:5e:00:53:00"
_SECRETS: Final = (
    re.compile(r"-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{8,1000}\.[\w-]{8,4000}\.[\w-]*"),
    re.compile(r"(?i)(?<=bearer )\S{8,}"),
    re.compile(r"(?<=://)[^/@\s]{1,200}@"),
)
_SCRUBBED: Final = "scrubbed"
_IP: Final = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w.:])")
#: A word as names, UUIDs and GIDs are written.
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_HEX: Final = "0x"
_BETWEEN: Final = re.compile(r"[.:_-]")
#: A shorter one is replaced where nothing else stands beside it.
_SHORTEST_NAME: Final = 3
#: A key of our records.
_FIELD: Final = re.compile(r"[a-z][A-Za-z0-9]*")


class Scrubber:
    """Replaces what identifies the machines of some documents."""

    def __init__(self, documents: Iterable[Any], names: Iterable[str] = ()) -> None:
        """Learns identifiers from the documents, as builtins; ``names`` are those of nodes."""
        self._fakes: dict[str, str] = {}
        found = sorted(set(names))
        width = len(str(len(found) - 1))  # so that they sort as the names did
        self._names = {name: f"node-{number:0{width}d}" for number, name in enumerate(found)}
        self._short = {host: fake for name, fake in self._names.items() if (host := name.partition(".")[0]) != name}
        self._addresses: dict[str, str] = {}
        for document in documents:
            for name, value in _identifiers(document):
                if not _ONLY_ZEROS.fullmatch(value):
                    self._fakes.setdefault(value, _fake(name, value, len(self._fakes) + 1))
        self._words = {value.lower(): fake for value, fake in self._fakes.items() if len(value) >= _LEAST}
        known = (name for name in (*self._names, *self._short, *self._words) if len(name) >= _SHORTEST_NAME)
        self._starts = {name[:_SHORTEST_NAME].lower() for name in known}
        self._known = set(self._fakes.values())

    def built(self, value: Any, name: str = "") -> Any:
        """A document, as builtins."""
        if isinstance(value, dict):
            return {
                self._key(key, name): self._entry(item, str(key)) for key, item in value.items() if key not in _DROPPED
            }
        if isinstance(value, list | tuple):
            return [self.built(item, name) for item in value]
        if isinstance(value, str):
            return self._fakes.get(value, value) if name in _FIELDS else self._names.get(value) or self.text(value)
        return value

    def text(self, text: str) -> str:
        """Any text: a sentence, or the output of a tool."""
        for name in _PROCESSES:
            text = _without(text, f"<{name}>", f"</{name}>")
        for secret in _SECRETS:
            text = secret.sub(_SCRUBBED, text)
        text = _WORD.sub(lambda match: self._word(match[0]), text)
        text = _TAGS.sub(lambda m: m[0] if self._fine(m[2]) else f"<{m[1]}>{_SCRUBBED}</{m[1]}>", text)
        text = _LINES.sub(lambda m: m[0] if self._fine(m[2]) else f"{m[1]}{_SCRUBBED}", text)
        text = _MAC_OR_ADDRESS.sub(_MAC, text)
        text = _IP.sub(lambda match: self._address(match[0]), text)
        return _UUID.sub(lambda m: m[0] if self._fine(m[0]) else "00000000-0000-4000-8000-ffffffffffff", text)

    def name(self, name: str) -> str:
        """A node's name."""
        return self._names.get(name, name)

    def _key(self, key: Any, of: str) -> Any:
        """A key that may be a name: among nodes, or none that our records have."""
        if not isinstance(key, str) or (of != "nodes" and _FIELD.fullmatch(key)):
            return key
        return self._names.get(key) or self.text(key)

    def _entry(self, value: Any, key: str) -> Any:
        if isinstance(value, str) and value and key not in _FIELDS and (_SECRET.search(key) or _SERIAL.search(key)):
            return _SCRUBBED
        return self.built(value, key)

    def _word(self, word: str) -> str:
        """The word with what stands for it, or for what it begins with, or for a later part of it."""
        if word[:2].lower() == _HEX and self._stand_in(word) is None:  # a GUID, as nvidia-smi writes it
            return word[:2] + self._word(word[2:])
        parts, begin = list[str](), 0
        for at in (*(match.start() for match in _BETWEEN.finditer(word)), len(word)):
            if at < begin:
                continue
            found, end = self._longest(word, begin, at)
            parts += [word[begin:end] if found is None else found, word[end : end + 1]]
            begin = end + 1
        return "".join(parts)

    def _longest(self, word: str, begin: int, at: int) -> tuple[str | None, int]:
        """What stands for the longest beginning of the rest, and where that ends; None, and where the next part is."""
        if word[begin : begin + _SHORTEST_NAME].lower() in self._starts:
            ends = (at, *(match.end() - 1 for match in _BETWEEN.finditer(word, at + 1)), len(word))
            for end in reversed(ends):
                if (found := self._stand_in(word[begin:end])) is not None:
                    return found, end
        return None, at

    def _stand_in(self, part: str) -> str | None:
        return self._names.get(part) or self._short.get(part) or self._words.get(part.lower())

    def _address(self, text: str) -> str:
        """Another address for an address; what only looks like one, as a PCI address, stays."""
        try:
            address = ip_address(text)
        except ValueError:
            return text
        if address.is_loopback or address.is_unspecified or text in self._known or text.startswith("198.18."):
            return text
        number = len(self._addresses) + 1
        v4 = f"198.18.{128 + (number >> 8) % 128}.{number & 0xFF}"
        return self._addresses.setdefault(text, v4 if address.version == 4 else f"2001:db8::ffff:{number:x}")  # noqa: PLR2004

    def _fine(self, value: str) -> bool:
        """Whether a value is ours, or says nothing."""
        value = value.strip()
        if value in _ABSENT or value == _SCRUBBED or _ONLY_ZEROS.fullmatch(value):
            return True
        return any(fake in value or (len(value) >= _WHOLE and value in fake) for fake in self._known)


def _without(text: str, begin: str, end: str) -> str:
    """The text with nothing between these two; what has no end is cut off."""
    first, *others = text.split(begin)
    return first + "".join(f"{begin}{end}{other.partition(end)[2]}" for other in others)


def _identifiers(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _identifiers(item, str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            if name == "neighbors" and isinstance(item, dict) and isinstance(item.get("name"), str):
                yield "switch", item["name"]
            yield from _identifiers(item, name)
    elif isinstance(value, str) and name in _FIELDS:
        yield name, value


def _fake(name: str, value: str, number: int) -> str:
    """Another value of the same form; of a GID its kind stays, which decides who may use it."""
    if name == "gid":
        if value.startswith("0000:0000:0000:0000:0000:ffff:"):
            return f"0000:0000:0000:0000:0000:ffff:c612:{number & 0xFFFF:04x}"  # 198.18.0.0/16, of benchmarks
        kind = value[:19] if value.startswith("fe80") else "2001:0db8:0000:0000"
        return f"{kind}:0000:0000:{number >> 16 & 0xFFFF:04x}:{number & 0xFFFF:04x}"
    if name == "uuid":
        return f"GPU-00000000-0000-4000-8000-{number:012x}"
    if name in ("clusterUUID", "bootId"):
        return f"00000000-0000-4000-8000-{number:012x}"
    if name == "nodeGuid":
        return f"0000:5e00:{number >> 16 & 0xFFFF:04x}:{number & 0xFFFF:04x}"
    return f"{name}-{number:08d}" if name != "fabricGuid" else f"{number:016x}"
