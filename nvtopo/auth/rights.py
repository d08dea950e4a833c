"""What a caller may be allowed to do, as a SubjectAccessReview asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nvtopo.kube.v1alpha1 import GROUP, PLURAL

AUDIENCE: Final = "nvtopo"
"""The audience that tokens must name. A token for it is useless at the API server, should we leak it."""


@dataclass(frozen=True, slots=True)
class TopologyRight:
    """Do ``verb`` to NodeTopologies: to all of them, or to the one of that name."""

    verb: str
    name: str = ""

    @property
    def attributes(self) -> Mapping[str, Mapping[str, str]]:
        """As fields of the review's ``spec``."""
        return {"resourceAttributes": {"group": GROUP, "resource": PLURAL, "verb": self.verb, "name": self.name}}

    def __str__(self) -> str:
        what = f"{self.verb} {PLURAL}.{GROUP}"
        return f'{what} "{self.name}"' if self.name else what


@dataclass(frozen=True, slots=True)
class PathRight:
    """Get a path that is no resource's: ``nonResourceURLs`` in a cluster role."""

    path: str

    @property
    def attributes(self) -> Mapping[str, Mapping[str, str]]:
        """As fields of the review's ``spec``."""
        return {"nonResourceAttributes": {"path": self.path, "verb": "get"}}

    def __str__(self) -> str:
        return f"get {self.path}"


@dataclass(frozen=True, slots=True)
class PlacementRight:
    """Do ``verb`` to placements: ``placements.nvtopo.io`` in a cluster role; the API server has no such resource."""

    verb: str

    @property
    def attributes(self) -> Mapping[str, Mapping[str, str]]:
        """As fields of the review's ``spec``."""
        return {"resourceAttributes": {"group": GROUP, "resource": "placements", "verb": self.verb, "name": ""}}

    def __str__(self) -> str:
        return f"{self.verb} placements.{GROUP}"


@dataclass(frozen=True, slots=True)
class JobRight:
    """Do ``verb`` to jobs, whose pods are named: ``jobs.nvtopo.io`` in a role, of one namespace or of all.

    The API server has no such resource.
    """

    verb: str
    namespace: str = ""
    name: str = ""

    @property
    def attributes(self) -> Mapping[str, Mapping[str, str]]:
        """As fields of the review's ``spec``."""
        attributes = {"group": GROUP, "resource": "jobs", "verb": self.verb, "name": self.name}
        return {"resourceAttributes": attributes | ({"namespace": self.namespace} if self.namespace else {})}

    def __str__(self) -> str:
        where = f' in namespace "{self.namespace}"' if self.namespace else ""
        return f"{self.verb} jobs.{GROUP}{where}"


Right = TopologyRight | PathRight | PlacementRight | JobRight

METRICS: Final = PathRight("/metrics")
"""What a scrape takes, as with the kubelet's own page."""
