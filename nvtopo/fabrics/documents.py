"""JSON and YAML documents of the network, and their parts, each checked where it is used."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from nvtopo.errors import ParseError
from nvtopo.fabrics.refused import Refused
from nvtopo.wire import yaml
from nvtopo.wire.documents import ANY
from nvtopo.wire.yaml import Limits

#: A topology of 10,000 nodes that a person wrote has 20 kB, one of switches and blocks that a tool wrote a megabyte.
_LIMITS: Final = Limits(32 << 20, 2_000_000)
_MOST_DOCUMENTS: Final = 200_000
_SEPARATOR: Final = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
#: A line that a YAML file of the network has at its outermost.
_YAML: Final = re.compile(
    r"^(?:- *(?:topology|cluster_default|apiVersion)|topology|switches|blocks|apiVersion|kind|items|instances|nodes|"
    r"networkTopologyDiscovery|cables|tiers) *:",
    re.MULTILINE,
)


def looks_like_yaml(text_: str) -> bool:
    """Whether it may be a YAML file of the network."""
    return _YAML.search(text_) is not None


def load(text_: str) -> list[Any]:
    """The documents of a JSON or YAML text.

    Raises:
        Refused: it is neither, or YAML without PyYAML.
    """
    content = text_.encode("utf-8", "replace")
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            return [ANY.read(content)]
        except ParseError as error:
            if not looks_like_yaml(text_):
                raise Refused(str(error)) from error
    return list(_yaml(text_))


def _yaml(text_: str) -> Iterator[Any]:
    for at, part in enumerate(_SEPARATOR.split(text_)):
        if at > _MOST_DOCUMENTS:
            raise Refused(f"expected at most {_MOST_DOCUMENTS} documents")
        if any(line.strip() and not line.lstrip().startswith("#") for line in part.splitlines()):
            try:
                yield yaml.read(part.encode(), object, "a document of the network", "YAML", limits=_LIMITS)
            except ParseError as error:
                raise Refused(str(error)) from error


def mapping(given: Any, what: str) -> Mapping[str, Any]:
    """The mapping.

    Raises:
        Refused: it is something else.
    """
    if not isinstance(given, dict):
        raise Refused(f"expected a mapping as {what}, got {_kind(given)}")
    return given


def entries(given: Any, what: str) -> Sequence[Mapping[str, Any]]:
    """The mappings of a list, or the one that stands alone.

    Raises:
        Refused: it is something else.
    """
    if isinstance(given, dict):
        return [given]
    if not isinstance(given, list):
        raise Refused(f"expected a list of mappings as {what}, got {_kind(given)}")
    return [mapping(one, f"an entry of {what}") for one in given]


def text(given: Any, what: str) -> str:
    """The text, or a whole number as one.

    Raises:
        Refused: it is something else.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    if not isinstance(given, str) or not given.strip():
        raise Refused(f"expected a name as {what}, got {_kind(given)}")
    return given.strip()


def _kind(given: Any) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing", str: "a text", bool: "true or false"}
    return names.get(type(given), "a number")
