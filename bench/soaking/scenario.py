"""A machine that changes, what goes wrong with it, and what is seen of it in labels, resource and metrics."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from nvtopo.model.records.spec import Spec, expand
from tests.faults import test_nic
from tests.faults.node import Node

Json = dict[str, Any]

Driver = Literal["answers", "hangs", "is not loaded"]

GPUS: Final = 8
NICS: Final = 10
#: NVML's return codes and times, as the library's fixture has them.
_DRIVERS: Final[dict[Driver, Json]] = {
    "answers": {},
    "hangs": {"delays": {"nvmlDeviceGetFieldValues": 600_000}},
    "is not loaded": {"returns": {"*": 9}},
}
#: Of those with a link that goes down, none, nor the one that is near the NIC below: its MTU would not count then.
_LOSABLE: Final = (4, 6, 7)
#: Not the NIC that is unplugged.
_NETDEV: Final = "enp169s0np0"
_JUMBO_BYTES: Final = 9000


class State(NamedTuple):
    """The machine, as far as it changes."""

    lost: int | None = None
    """The GPU that fell off the bus."""
    down: tuple[int, int] | None = None
    """GPU and link; never the GPU that is lost."""
    plugged: bool = True
    """One NIC."""
    jumbo: bool = True
    """The MTU of another."""
    driver: Driver = "answers"

    @property
    def view(self) -> "View":
        """What should be seen of it. Without a driver labels tell nothing of the fabric's MTU."""
        nics = NICS if self.plugged else NICS - 1
        if self.driver != "answers":
            return View(None, None, nics, None)
        return View(GPUS - (self.lost is not None), self.down is not None, nics, self.jumbo)


class View(NamedTuple):
    """What labels, resource or metrics say of the machine; None where they say nothing."""

    gpus: int | None
    degraded: bool | None
    nics: int | None
    jumbo: bool | None


def of_labels(labels: Mapping[str, str]) -> View:
    """What a feature file says."""
    if "gpu.count" not in labels:
        return View(None, None, _number(labels.get("nic.count")), None)
    degraded = {"true": True, "false": False}.get(labels.get("nvlink.degraded", ""))
    return View(_number(labels["gpu.count"]), degraded, _number(labels.get("nic.count")), "rdma.mtu" in labels)


def of_resource(document: Json) -> View:
    """What a NodeTopology says."""
    node = expand(msgspec.convert(document["spec"], Spec))
    if not node.gpus:
        return View(None, None, len(node.nics), None)
    degraded = any(not bundle.usable for gpu in node.gpus for bundle in gpu.nvlinks)
    jumbo = any(_NETDEV in nic.netdevs and nic.mtu_bytes == _JUMBO_BYTES for nic in node.nics)
    return View(len(node.gpus), degraded, len(node.nics), jumbo)


def of_page(text: str) -> View:
    """What a metrics page says."""
    gpus = values(text, "nvtopo_gpus")
    nics = len(values(text, "nvtopo_rdma_port_active"))
    if not gpus:
        return View(None, None, nics, None)
    degraded = 0.0 in values(text, "nvtopo_nvlink_active")
    jumbo = values(text, "nvtopo_netdev_mtu_bytes", device=_NETDEV) == [_JUMBO_BYTES]
    return View(int(gpus[0]), degraded, nics, jumbo)


def values(text: str, name: str, **labels: str) -> list[float]:
    """Of the series of that name and labels; a page has thousands, of which this reads only those."""
    lines = (line for line in text.splitlines(keepends=True) if line.startswith((f"{name} ", f"{name}{{")))
    return [
        sample.value
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
        if sample.labels.items() >= labels.items()
    ]


class Machine:
    """The recorded machine of ``tests/faults``, made to be as a state says."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._away: list[tuple[Path, Path]] = []
        self.state = State()

    def become(self, state: State) -> None:
        """Change what differs."""
        before, self.state = self.state, state
        if state.plugged and not before.plugged:
            test_nic.plug(self._away)
            (self._node.root / "away").rmdir()
        if before.plugged and not state.plugged:
            self._away = test_nic.unplug(self._node)
        if state.jumbo != before.jumbo:
            mtu = self._node.root / "sys/class/net" / _NETDEV / "mtu"
            mtu.write_text(f"{_JUMBO_BYTES if state.jumbo else 1500}\n")
        self._node.driver_is_like(lambda model: _change(model, state))

    def labels(self) -> View:
        """What its feature file says."""
        return of_labels(self._node.labels())


def _change(model: Any, state: State) -> None:
    model.update(_DRIVERS[state.driver])
    if state.lost is not None:
        model["gpus"][state.lost]["lost"] = True
    if state.down is not None:
        gpu, link = state.down
        model["gpus"][gpu]["links"][link]["state"] = 0


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


#: Kind → the state after such a change, by a random number source.
CHANGES: Final[dict[str, Callable[[State, Any], State]]] = {
    "GPU": lambda state, random: state._replace(lost=None if state.lost is not None else random.choice(_LOSABLE)),
    "link": lambda state, random: state._replace(
        down=None if state.down else (random.randrange(4), random.randrange(18))
    ),
    "NIC": lambda state, _: state._replace(plugged=not state.plugged),
    "MTU": lambda state, _: state._replace(jumbo=not state.jumbo),
}
