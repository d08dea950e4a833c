"""What a pod asks of a node's labels, from a file: a Pod, or whatever holds a pod's template."""

from collections.abc import Mapping
from typing import Any

import msgspec

from nvtopo.checks.pod_fit import Demand, Term
from nvtopo.errors import ParseError
from nvtopo.sources.capture import read_input
from nvtopo.wire import yaml
from nvtopo.wire.documents import ANY, one_line

_EXPECTED = "a Pod, or an object with a pod's template, in JSON or YAML"
_DEEPEST = 16


def read(source: str) -> Demand:
    """The demand of the pod in a file; ``-`` is standard input.

    Raises:
        ReadError: the file can't be read, or holds no pod.
    """
    content = read_input(source)
    if content.lstrip()[:1] == b"{":
        document = ANY.read(content, source)
    else:
        document = yaml.read(content, dict[str, Any], _EXPECTED, source)
    pod = _pod(document, _DEEPEST)
    if pod is None:
        raise ParseError(f"{source}: expected {_EXPECTED}: nothing in it has containers")
    affinity: Any = pod
    for key in ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"):
        affinity = affinity.get(key) if isinstance(affinity, Mapping) else None
    try:
        selector = msgspec.convert(pod.get("nodeSelector") or {}, dict[str, str])
        return Demand(node_selector=selector, terms=msgspec.convert(affinity or (), tuple[Term, ...]))
    except msgspec.ValidationError as error:
        raise ParseError(
            f"{source}: expected a nodeSelector and an affinity as pods have: {one_line(str(error))}"
        ) from error


def _pod(value: Any, levels: int) -> Mapping[str, Any] | None:
    """The first mapping with containers."""
    if isinstance(value, Mapping) and isinstance(value.get("containers"), list):
        return value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if not levels:
        return None
    return next((found for one in inner if (found := _pod(one, levels - 1)) is not None), None)
