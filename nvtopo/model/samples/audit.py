"""What a pod got against what it could have: NVLink groups, and NICs near its GPUs.

*Could have* is by what other pods hold now. What was free when the pod came is not known any more, so it may have got
the best there was then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from nvtopo.model.records.allocation import Allocation, Held

Groups = Sequence[Sequence[int]]


class PodAudit(NamedTuple):
    """One pod on a node."""

    namespace: str
    pod: str
    gpus: tuple[int, ...]
    """NVML's indices."""
    nics: tuple[str, ...]
    resources: tuple[str, ...]
    """Other resources that it holds, such as ``rdma/hca``."""
    unidentified: tuple[str, ...]
    """GPU devices whose GPU can't be told."""
    groups: int | None
    """NVLink groups that its GPUs are of, a GPU without NVLink being one of its own; None if that is not known."""
    fewest_groups: int | None
    """On how few its GPUs would fit, beside what others hold; None if that is not known."""
    far_gpus: tuple[int, ...] | None
    """GPUs of it that none of its NICs is nearest to; None if it holds no NIC."""

    @property
    def split(self) -> bool | None:
        """Whether its GPUs are of more groups than they need be; None if that is not known."""
        if self.groups is None or self.fewest_groups is None:
            return None
        return self.groups > self.fewest_groups


def pods(
    allocation: Allocation, gpus: Collection[int], groups: Groups | None, nearest: Mapping[int, Collection[str]]
) -> list[PodAudit]:
    """Each pod that holds devices, by name.

    ``gpus`` are all of the node, ``groups`` its NVLink groups if they are known, ``nearest`` GPU → the NICs nearest it.
    """
    by_pod: dict[tuple[str, str], list[Held]] = {}
    for one in allocation.containers:
        by_pod.setdefault((one.namespace, one.pod), []).append(one)
    held = {name: {gpu for one in containers for gpu in one.gpus} for name, containers in by_pod.items()}
    every = None if groups is None else _with_single(groups, gpus)
    found = []
    for name, containers in sorted(by_pod.items()):
        own, unidentified = held[name], {device for one in containers for device in one.unidentified}
        others = set[int]().union(*(gpus for other, gpus in held.items() if other != name))
        known = every is not None and bool(own) and not unidentified
        sure = known and allocation.gpus is not None
        nics = {nic for one in containers for nic in one.nics}
        found.append(
            PodAudit(
                *name,
                gpus=tuple(sorted(own)),
                nics=tuple(sorted(nics)),
                resources=tuple(sorted({resource for one in containers for resource in one.resources})),
                unidentified=tuple(sorted(unidentified)),
                groups=sum(1 for group in every or () if own & {*group}) if known else None,
                fewest_groups=_fewest(every or (), len(own), others - own) if sure else None,
                far_gpus=tuple(gpu for gpu in sorted(own) if not nics & {*nearest.get(gpu, ())}) if nics else None,
            )
        )
    return found


def _with_single(groups: Groups, gpus: Iterable[int]) -> Groups:
    """The groups, and each GPU in none as a group of its own."""
    joined = {gpu for group in groups for gpu in group}
    return [*groups, *((gpu,) for gpu in sorted(gpus) if gpu not in joined)]


def _fewest(groups: Groups, count: int, taken: Collection[int]) -> int | None:
    """Groups that so many GPUs need beside those that are taken: the largest first is the fewest."""
    rooms = sorted((sum(1 for gpu in group if gpu not in taken) for group in groups), reverse=True)
    for number, room in enumerate(rooms, 1):
        count -= room
        if count <= 0:
            return number
    return None
