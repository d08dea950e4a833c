"""The reasons of a node's health in words, for people. Nothing parses them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.health_kinds import Code, Reason

_Values = tuple[int | str, ...]
#: What a rail lacks for having ports → what is to say of it.
_WITHOUT_PORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "driver": "is on the bus, and no driver is bound to it",
        "device": "is on the bus, and its driver made no network device and no RDMA device of it",
        "rdma": "has no RDMA device, which others of its model have",
    }
)


def _gpus(count: int | str, vendor: str = "") -> str:
    return f"{count} {vendor}GPU{'' if count == 1 else 's'}"


def _named(values: _Values) -> str:
    return ", ".join(names.gpu(int(value)) for value in values)


_WORDS: Final[Mapping[Code, Callable[[_Values], str]]] = MappingProxyType(
    {
        "no-gpu": lambda _: "has no GPU",
        "no-gpu-answers": lambda _: "has an NVIDIA driver, and no GPU answers",
        "not-shown": lambda values: f"is read from an input that does not show its {', '.join(map(str, values))}",
        "no-gpu-read": lambda _: "has no GPU that is read here",
        "gpus-withheld": lambda values: f"has {_gpus(values[0])} that {values[1]} holds",
        "accelerators-not-read": lambda values: f"has {_gpus(values[0], f'{values[1]} ')}, not read",
        "modules-missing": lambda values: f"lacks the GPU of module {', '.join(map(str, values))}",
        "gpus-missing": lambda values: f"has {values[0]} of {values[1]} GPUs",
        "driver-problem": lambda values: ": ".join(map(str, values)),
        "gpu-problem": lambda values: str(values[-1]),
        "gpu-recovery": lambda values: f"needs this to recover: {values[0]}",
        "gpu-memory-repair": lambda values: f"has memory that is not repaired: {', '.join(map(str, values))}",
        "pair-problem": lambda values: ": ".join(map(str, values)),
        "fabric-registering": lambda _: "has not finished registering with the NVLink fabric",
        "fabric-in-progress": lambda _: "stays in progress with the NVLink fabric, for longer than the grace",
        "fabric-error": lambda _: "got an error when registering with the NVLink fabric",
        "fabric-unhealthy": lambda _: "is unhealthy to the NVLink fabric",
        "fabric-limited-capacity": lambda _: "has limited capacity in the NVLink fabric",
        "fabric-unknown": lambda values: f"has an NVLink fabric whose {values[0]} is not known",
        "fabric-mixed": lambda _: "has GPUs in different states towards the NVLink fabric",
        "fabric-not-supported": lambda _: "has no NVLink fabric, although links to switches need one",
        "domains-differ": lambda values: f"has GPUs in {len(values)} NVLink domains: {', '.join(map(str, values))}",
        "nvlinks-training": lambda _: "has NVLinks that may still train",
        "nvlinks-hidden": lambda _: "does not show its NVLinks",
        "nvlinks-unknown": lambda values: (
            f"has {values[0]} NVLink{'' if values[0] == 1 else 's'} whose state is not known"
        ),
        "nvlinks-missing": lambda values: f"has {values[0]} of {values[1]} NVLinks" if values else "lacks NVLinks",
        "nvlinks-down": lambda values: f"has {values[0]} of {values[1]} NVLinks",
        "nvlinks-unbridged": lambda _: "has no NVLink that is up, and it is not known whether there ever was a bridge",
        "nvlink-ends-unknown": lambda values: (
            f"has {values[0]} NVLink{'' if values[0] == 1 else 's'} of which it is not known where they lead"
        ),
        "nvlink-p2p-refused": lambda values: f"is refused peer access over NVLink to {_named(values)}",
        "nvlink-p2p-unknown": lambda values: f"may or may not have peer access over NVLink to {_named(values)}",
        "facts-unread": lambda values: f"has devices of which nothing is known: {values[0]} could not be read",
        "side-facts-unread": lambda values: f"does not answer for {values[0]}, which could not be read in time",
        "ports-down": lambda values: _ports_down(*map(int, values)),
        "rails-down": lambda values: (
            "has no rail with an active port" if values[0] == 1 else f"has {values[0]} rails, none with an active port"
        ),
        "rails-unknown": lambda _: "has no rail of which it is known that a port is active",
        "rail-without-ports": lambda values: _WITHOUT_PORTS[str(values[0])],
        "nics-missing": lambda values: f"has {values[0]} of {values[1]} NICs",
        "rails-missing": lambda values: f"has {values[0]} of {values[1]} rails",
        "mtu-differs": lambda values: f"has an MTU of {values[0]}, and should have {values[1]}",
        "rdma-mtu-differs": lambda values: f"has an RDMA MTU of {values[0]}, and should have {values[1]}",
        "gid-index-differs": lambda values: f"has GID index {values[0]}, and should have {values[1]}",
        "pcie-below-expected": lambda values: (
            f"has a PCIe link of {' and '.join(map(str, values[::2]))}, "
            f"and should have {' and '.join(map(str, values[1::2]))}"
        ),
        "version-differs": lambda values: f"has {values[0]} {values[1]}, and should have {values[2]}",
        "pcie-below-best": lambda values: (
            f"has a PCIe link of {' and '.join(map(str, values[::2]))}, "
            f"and both ends support {' and '.join(map(str, values[1::2]))}"
        ),
    }
)


def _ports_down(*values: int) -> str:
    *down, count = values
    if len(down) == count:
        return "has no active port"
    numbers = ", ".join(map(str, down))
    return f"has port{'' if len(down) == 1 else 's'} {numbers} of {count} down, which its siblings use"


def subject(reason: Reason) -> str:
    """``GPU2``, a NIC's name, or ``node``."""
    return names.gpu(reason.gpu) if reason.gpu is not None else reason.nic or "node"


def predicate(reason: Reason) -> str:
    """The reason without its subject: ``has 17 of 18 NVLinks``."""
    return _WORDS[reason.code](reason.values)


def sentence(reason: Reason) -> str:
    """``GPU2 has 17 of 18 NVLinks``; for a problem, its own text, which names the subject."""
    if reason.code in ("driver-problem", "pair-problem"):
        return predicate(reason)
    whose = "this node" if reason.gpu is None and reason.nic is None else subject(reason)
    return f"{whose}{':' if reason.code == 'gpu-problem' else ''} {predicate(reason)}"
