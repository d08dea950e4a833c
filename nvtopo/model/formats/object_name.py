"""Names that Kubernetes takes for its objects."""

import re
from typing import Final

LONGEST_SUBDOMAIN: Final = 253
LONGEST_LABEL: Final = 63

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"


def is_label(text: str) -> bool:
    """Whether it is a DNS label (RFC 1123), as namespaces are named."""
    return len(text) <= LONGEST_LABEL and re.fullmatch(_LABEL, text) is not None


def is_subdomain(text: str) -> bool:
    """Whether it is a DNS subdomain (RFC 1123), as Nodes and most other objects are named."""
    return len(text) <= LONGEST_SUBDOMAIN and re.fullmatch(_SUBDOMAIN, text) is not None
