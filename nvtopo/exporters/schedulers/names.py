"""Names of Kubernetes objects, from the names of domains."""

import hashlib
import re
from typing import Final

from nvtopo.model.formats.object_name import LONGEST_SUBDOMAIN

_UNFIT: Final = re.compile(r"[^a-z0-9-]+")


def object_name(*parts: str) -> str:
    """A name that is a DNS label; one that had to be changed ends in a digest, so that no two become the same."""
    whole = "-".join(parts)
    fit = _UNFIT.sub("-", whole.lower()).strip("-")
    if fit == whole and len(fit) <= LONGEST_SUBDOMAIN:
        return fit
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{fit[: LONGEST_SUBDOMAIN - 9]}-{digest}"
