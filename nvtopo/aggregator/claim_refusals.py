"""What comes of a gang's claim that the API server refuses, for a quota, a policy or a webhook."""

import logging
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from nvtopo.errors import ApiError
from nvtopo.kube.apply_queue import Outcome, outcome_of
from nvtopo.kube.claim_changes import ClaimChange
from nvtopo.kube.pod_changes import PodChange

logger = logging.getLogger(__name__)

#: Of which the log says that claims are refused. If there are more, it says so again.
_MOST_NAMESPACES: Final = 64
GangChange = PodChange | ClaimChange


class ClaimRefusal(NamedTuple):
    """A claim that can't be made."""

    namespace: str
    pod: str
    """The UID of the pod that it is for."""
    reason: str


def heeding(
    write: Callable[[str, GangChange], None], refuse: Callable[[str, ClaimRefusal], None]
) -> Callable[[str, GangChange], None]:
    """The same write; ``refuse`` is told of each claim that is refused, and the log once of each namespace."""
    said: dict[str, None] = {}
    lock = threading.Lock()

    def written(path: str, wanted: GangChange) -> None:
        try:
            write(path, wanted)
        except ApiError as error:
            made_for = wanted.made_for if isinstance(wanted, ClaimChange) else None
            if made_for is not None and outcome_of(error) is Outcome.REFUSED:
                refusal = ClaimRefusal(*made_for, str(error))
                with lock:
                    _say(refusal, said)
                refuse(path, refusal)
            raise

    return written


def _say(refusal: ClaimRefusal, said: dict[str, None]) -> None:
    if refusal.namespace not in said:
        logger.warning("a claim is refused", extra={"namespace": refusal.namespace, "reason": refusal.reason})
        said[refusal.namespace] = None
        if len(said) > _MOST_NAMESPACES:
            del said[next(iter(said))]
