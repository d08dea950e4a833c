"""``HolderPods``: small pods of ours that hold the claims of a gang until its own pods take over. No I/O, no clock.

A claim has its GPUs only as long as a pod that is bound has it. Where no barrier holds a gang's pods, a holder is that
pod: it names the claim, and does nothing. The gates of the gang stay until all of its claims are held. A holder's name
follows from its claim's, so that who takes over in the middle finds it. It goes once the gang's pod is bound, or once
that claim is not the pod's any more.
"""

from collections.abc import Iterator
from typing import Final

from nvtopo.gangs.steps import DropHolder, LeaveHolder, MakeHolder
from nvtopo.placement.pods import GpuPod, PodEvent, PodGone, PodSeen, PodsListed
from nvtopo.placement.result import Rank

Owner = tuple[str, str]
"""Namespace and UID of a gang's pod."""
FORCE_SECONDS: Final = 30.0
"""From when a holder is to be gone: a gang that waits for its GPUs waits no longer for a kubelet that is not heard."""
_SUFFIX: Final = "-holder"


def holder_name(claim: str) -> str:
    """The name of the pod that holds a claim."""
    return f"{claim}{_SUFFIX}"


class HolderPods:
    """The holders that there are, and the gangs' pods that may need one."""

    def __init__(self, *, on: bool = False) -> None:
        """If it is not ``on``, none is made, seen or deleted."""
        self.on = on
        self._of_owner: dict[Owner, dict[str, GpuPod]] = {}
        self._owners: dict[tuple[str, str], Owner] = {}
        """Namespace and name of a holder → whose it is."""
        self._waiting: dict[tuple[str, str], Owner] = {}
        """Namespace and name of each pod of a gang that waits."""
        self._may: set[Owner] = set()
        """The same pods."""
        self._named: set[tuple[str, bool]] = set()
        """UIDs of strays that were named, and whether at once."""

    def fold(self, event: PodEvent) -> tuple[Owner, ...]:
        """What happened to a pod; whose holders are otherwise by that."""
        if not self.on:
            return ()
        match event:
            case PodsListed(pods):
                before = (*self._of_owner,)
                for known in (self._of_owner, self._owners, self._waiting, self._may):
                    known.clear()
                for pod in pods:
                    self._see(pod)
                return (*before, *self._of_owner)
            case PodSeen(pod):
                return (*self._forget(pod.key), *self._see(pod))
            case PodGone(namespace, name):
                return self._forget((namespace, name))

    def of(self, pod: GpuPod) -> tuple[GpuPod, ...]:
        """The holders of a gang's pod."""
        return tuple(self._of_owner.get((pod.namespace, pod.uid), {}).values())

    def holds(self, pod: GpuPod, claim: str) -> bool:
        """Whether a pod's claim is held: its holder is bound, and stays."""
        holder = self._find(pod, claim)
        return holder is not None and bool(holder.node) and not (holder.ended or holder.leaving)

    def made(self, pod: GpuPod, claim: str, rank: Rank) -> Iterator[MakeHolder]:
        """The holder of a pod's claim, if there is none."""
        if self._find(pod, claim) is None:
            yield MakeHolder(pod, claim, holder_name(claim), rank.node)

    def is_refused(self, pod: GpuPod, claim: str, refused: str) -> bool:
        """Whether what is refused is the holder of this claim, and it is not there."""
        return refused == holder_name(claim) and self._find(pod, claim) is None

    def left(self, pod: GpuPod, claim: str) -> Iterator[LeaveHolder]:
        """The holder of a pod's claim that is not to be made any more, if there is none."""
        if self.on and self._find(pod, claim) is None:
            yield LeaveHolder(pod.namespace, holder_name(claim))

    def dropped(self, pod: GpuPod, claim: str) -> Iterator[DropHolder]:
        """Those of a pod that hold nothing any more, or another claim than this one."""
        for holder in self.of(pod):
            if not holder.leaving and (holder.ended or holder.name != holder_name(claim) or holder.holds != claim):
                yield DropHolder(holder)

    def begin(self) -> None:
        """What was written so far is not known any more."""
        self._named.clear()

    def strays(self, now: float) -> Iterator[DropHolder]:
        """Those whose pod is gone or waits no more, and those that are to be gone and are not: once for each change."""
        for owner, mine in self._of_owner.items():
            for holder in mine.values():
                late = holder.leaving_at + FORCE_SECONDS <= now
                if (late or (owner not in self._may and not holder.leaving)) and (holder.uid, late) not in self._named:
                    self._named.add((holder.uid, late))
                    yield DropHolder(holder, at_once=late)

    def _find(self, pod: GpuPod, claim: str) -> GpuPod | None:
        """A pod of that name that holds another claim is none."""
        found = self._of_owner.get((pod.namespace, pod.uid), {}).get(holder_name(claim))
        return found if found is not None and found.holds == claim else None

    def _see(self, pod: GpuPod) -> tuple[Owner, ...]:
        if pod.holds:
            owner = (pod.namespace, pod.owner)
            self._owners[pod.key] = owner
            self._of_owner.setdefault(owner, {})[pod.name] = pod
            return (owner,)
        if pod.gang and pod.claim and pod.waiting:
            self._waiting[pod.key] = (pod.namespace, pod.uid)
            self._may.add((pod.namespace, pod.uid))
        return ()

    def _forget(self, key: tuple[str, str]) -> tuple[Owner, ...]:
        waited = self._waiting.pop(key, None)
        if waited is not None:
            self._may.discard(waited)
        owner = self._owners.pop(key, None)
        if owner is None:
            return ()
        mine = self._of_owner[owner]
        gone = mine.pop(key[1])
        self._named -= {(gone.uid, False), (gone.uid, True)}
        if not mine:
            del self._of_owner[owner]
        return (owner,)
