"""Names of Kubernetes objects, from the names of domains."""

import hashlib
import re
from typing import Final

_LONGEST: Final = 253
_UNFIT: Final = re.compile(r"[^a-z0-9-]+")
#: A DNS subdomain, as Kubernetes names Nodes.
_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def is_node(name: str) -> bool:
    """Whether Kubernetes can have a Node of that name: machines of files may be called anything."""
    return len(name) <= _LONGEST and _NODE.fullmatch(name) is not None


def object_name(*parts: str) -> str:
    """A name that is a DNS label; one that had to be changed ends in a digest, so that no two become the same."""
    whole = "-".join(parts)
    fit = _UNFIT.sub("-", whole.lower()).strip("-")
    if fit == whole and len(fit) <= _LONGEST:
        return fit
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{fit[: _LONGEST - 9]}-{digest}"
