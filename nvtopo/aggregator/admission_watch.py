"""The thread that looks whether the admission policies are in force, and metrics of what they should prevent."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.sinks.metrics.series import Family, declared, gauge, one

logger = logging.getLogger(__name__)

#: Between two looks, each of two small answers for each policy, and one more.
LOOK_SECONDS: Final = 30.0
_MOST_NAMED: Final = 16

MISSING = gauge(
    "nvtopo_admission_policy_missing",
    "1 if an admission policy that holds agents or DRA plugins to their own nodes is not in force: it or its binding is"
    " not there, the binding does not deny, or the policy does not fail closed; 0 if it is.",
    ("policy",),
    source="the ValidatingAdmissionPolicies and their bindings",
    absent="the API server does not tell, or has no such policies (before Kubernetes 1.30)",
)
OWNERS = gauge(
    "nvtopo_graph_foreign_owners",
    "Number of NodeTopologies whose owner is not the Node of their name, or which nobody owns or a finalizer holds.",
    source="the NodeTopologies",
    absent="the NodeTopologies have not been listed yet",
)
SERIES = declared(globals())


class AdmissionWatch:
    """Looks while ``run`` runs; ``families`` are those of the latest look, from any thread."""

    def __init__(
        self,
        look: Callable[[], tuple[Mapping[str, bool], str]],
        foreign: Callable[[], frozenset[str] | None],
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``look`` gives policy → missing, and why it is not known; ``foreign`` the objects with an odd owner."""
        self._look = look
        self._foreign = foreign
        self._seconds = look_seconds
        self._missing: Mapping[str, bool] = MappingProxyType({})

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        said: tuple[Mapping[str, bool], str] = {}, ""
        named: frozenset[str] = frozenset()
        while not stop.is_set():
            found = self._look()
            self._missing = MappingProxyType(dict(found[0]))
            if found != said:
                _log_policies(*found)
                said = found
            foreign = self._foreign() or frozenset()
            if foreign - named:
                names = sorted(foreign)[:_MOST_NAMED]
                logger.warning(
                    "NodeTopologies that are not owned by their Node alone",
                    extra={"number": len(foreign), "nodes": names},
                )
            named = foreign
            stop.wait(self._seconds)

    def families(self) -> Iterator[Family]:
        """The metric families, from the latest look."""
        missing = Family(MISSING)
        for policy, absent in sorted(self._missing.items()):
            missing.add(float(absent), policy)
        yield missing
        foreign = self._foreign()
        if foreign is not None:
            yield one(OWNERS, len(foreign))


def _log_policies(missing: Mapping[str, bool], unknown: str) -> None:
    if unknown:
        logger.warning("cannot know whether the admission policies are in force", extra={"reason": unknown})
    for policy, absent in missing.items():
        if absent:
            logger.error("an admission policy is missing: pods may write for other nodes", extra={"policy": policy})
