"""``GangWriter``: the steps of gangs as writes at pods, claims and holders, each queued under its object's path."""

from collections.abc import Callable

from nvtopo.aggregator.claim_refusals import GangChange
from nvtopo.aggregator.gang_claimer import GangClaimer
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import ReadError
from nvtopo.gangs.steps import (
    ClaimStep,
    DropHolder,
    LeaveClaim,
    LeaveHolder,
    Lift,
    MakeClaim,
    MakeHolder,
    Say,
    Step,
)
from nvtopo.kube import claim_changes, holder_changes, pod_changes, resource_claims
from nvtopo.kube.applier import Applier
from nvtopo.placement.hosts import nics_near_to


class GangWriter:
    """Used by the keeper's thread."""

    def __init__(
        self,
        applier: Applier[GangChange],
        claimer: GangClaimer | None,
        graph: Callable[[], ClusterGraph | None],
    ) -> None:
        self._applier, self._claimer, self._graph = applier, claimer, graph

    def write(self, step: Step, term: int, *, anew: bool) -> None:
        """Queue a step. If ``anew``, what was made and is not seen may be gone again, and is made again."""
        match step:
            case LeaveClaim(namespace, name):
                self._applier.forget(resource_claims.path(namespace, name))
            case LeaveHolder(namespace, name):
                self._applier.forget(pod_changes.path_of(namespace, name))
            case MakeHolder() | DropHolder():
                self._write_holder(step, term, anew=anew)
            case _ if isinstance(step, ClaimStep):
                self._write_claim(step, term, anew=anew)
            case _:
                rank = step.rank if isinstance(step, Lift) else None
                nics = "" if rank is None else ",".join(nics_near_to(rank, self._graph()))
                self._applier.want(pod_changes.path_of(*step.pod.key), pod_changes.change(step, nics), term)

    def _write_holder(self, step: MakeHolder | DropHolder, term: int, *, anew: bool) -> None:
        if self._claimer is None:
            return
        path = holder_changes.path_of(step)
        if anew and isinstance(step, MakeHolder):
            self._applier.forget(path)
        self._applier.want(path, self._claimer.held_by(step), term)

    def _write_claim(self, step: ClaimStep, term: int, *, anew: bool) -> None:
        if self._claimer is None:
            return
        path = claim_changes.path_of(step)
        if anew and isinstance(step, MakeClaim):
            self._applier.forget(path)
        try:
            self._applier.want(path, self._claimer.change(step), term)
        except ReadError as error:  # the node's agent may say it later
            if isinstance(step, MakeClaim):
                self.write(Say(step.pod, str(error)), term, anew=anew)
