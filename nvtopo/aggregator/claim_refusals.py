"""What is written for gangs, and what comes of what the API server refuses for a quota, policy or webhook."""

import logging
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from nvtopo.errors import ApiError, Conflict
from nvtopo.gangs.steps import Refusal
from nvtopo.kube import claim_changes, holder_changes, pod_changes
from nvtopo.kube.apply_queue import Outcome, outcome_of
from nvtopo.kube.claim_changes import ClaimChange
from nvtopo.kube.client import Client
from nvtopo.kube.holder_changes import HolderChange
from nvtopo.kube.pod_changes import PodChange
from nvtopo.kube.refusal import each_alone

logger = logging.getLogger(__name__)

#: Of which the log says that claims are refused. If there are more, it says so again.
_MOST_NAMESPACES: Final = 64
GangChange = PodChange | ClaimChange | HolderChange


def writing(client: Client, refuse: Callable[[Refusal], None]) -> Callable[[str, GangChange], None]:
    """Sends a change; ``refuse`` is told of each claim and holder that is refused, the log once of each namespace."""

    def send(path: str, wanted: GangChange) -> None:
        if isinstance(wanted, PodChange):
            pod_changes.write(client, path, wanted)
        elif isinstance(wanted, HolderChange):
            holder_changes.write(client, path, wanted)
        else:
            claim_changes.write(client, path, wanted)

    return heeding(each_alone(send), refuse)


def heeding(
    write: Callable[[str, GangChange], None], refuse: Callable[[Refusal], None]
) -> Callable[[str, GangChange], None]:
    """The same write, told of."""
    said: dict[str, None] = {}
    lock = threading.Lock()

    def written(path: str, wanted: GangChange) -> None:
        try:
            write(path, wanted)
        except ApiError as error:
            made_for = None if isinstance(wanted, PodChange) else wanted.made_for
            of_one = outcome_of(error) is Outcome.REFUSED and not isinstance(error, Conflict)
            if made_for is not None and of_one:  # a conflict is with one that is about to go
                refusal = Refusal(*made_for, unquote(path.rpartition("/")[2]), str(error))
                with lock:
                    _say(refusal, said)
                refuse(refusal)
            raise

    return written


def _say(refusal: Refusal, said: dict[str, None]) -> None:
    if refusal.namespace not in said:
        logger.warning(
            "a claim or its holder is refused", extra={"namespace": refusal.namespace, "reason": refusal.reason}
        )
        said[refusal.namespace] = None
        if len(said) > _MOST_NAMESPACES:
            del said[next(iter(said))]
