"""The GPUs of one node beside each other: products, firmware and modes."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check


def _products(machine: Machine) -> Iterator[CheckResult]:
    found = [gpu.name for gpu in machine.node.gpus if gpu.name]
    for gpu in machine.node.gpus:
        if not gpu.name:
            yield Unknown(gpu.key, "the driver does not say its product")
    if len(set(found)) > 1:
        yield Found(NODE, f"has {peers.counted(found)}")
    elif found:
        yield Fits()


def _mig(machine: Machine) -> Iterator[CheckResult]:
    modes = {gpu.key: "on" if gpu.mig else "off" for gpu in machine.node.gpus if gpu.mig is not None}
    able = {gpu.name for gpu in machine.node.gpus if gpu.mig is not None}
    for gpu in machine.node.gpus:
        if gpu.mig is None and gpu.name in able:
            yield Unknown(gpu.key, "the driver does not say its MIG mode, and does so for others of its product")
    yield from _pending(machine)
    if len(set(modes.values())) > 1:
        yield Found(NODE, f"MIG mode is {peers.counted(modes.values())}")
    elif modes:
        yield Fits()


def _pending(machine: Machine) -> Iterator[CheckResult]:
    """MIG modes that wait for a reset of the GPU."""
    facts = machine.snapshot.nvml if machine.snapshot is not None else None
    for gpu in facts.gpus if facts is not None else ():
        later = gpu.upkeep.mig_pending if gpu.upkeep is not None else None
        if gpu.mig is not None and later is not None and later != gpu.mig:
            words = ("on", "off") if gpu.mig else ("off", "on")
            yield Found(f"GPU{gpu.index}", f"MIG mode is {words[0]}, and {words[1]} after its next reset", "info")


def _vbios(machine: Machine) -> Iterator[CheckResult]:
    """GPUs of one product only."""
    if not machine.node.gpus:
        return
    facts = machine.snapshot.nvml.gpus if machine.snapshot is not None and machine.snapshot.nvml is not None else ()
    products: dict[str, dict[str, str]] = {}
    for gpu in facts:
        if gpu.vbios:
            products.setdefault(gpu.name, {})[f"GPU{gpu.index}"] = gpu.vbios
    if not products:
        yield Unknown(NODE, "no GPU states the version of its VBIOS here")
    for gpu in facts:
        if not gpu.vbios and gpu.name in products:
            yield Unknown(f"GPU{gpu.index}", "the driver does not say the version of its VBIOS")
    for versions in products.values():
        yield from _of_product(versions)


def _of_product(versions: Mapping[str, str]) -> Iterator[CheckResult]:
    if len(set(versions.values())) == 1:
        yield Fits()
    elif odd := peers.odd(versions):
        most = peers.common(versions.values())
        for name, version in odd.items():
            yield Found(name, f"has VBIOS {version}, and most have {most}", expected=most)
    else:
        yield Found(NODE, f"its GPUs have VBIOS {peers.counted(versions.values())}")


def _memory(machine: Machine) -> Iterator[CheckResult]:
    products: dict[str, dict[str, int]] = {}
    for gpu in machine.node.gpus:
        if gpu.memory_bytes is not None:
            products.setdefault(gpu.name, {})[gpu.key] = gpu.memory_bytes
        elif not machine.node.unseen:
            yield Unknown(gpu.key, "the driver does not say how much memory it has")
    for sizes in products.values():
        if len(set(sizes.values())) == 1:
            yield Fits()
        for name, size in peers.odd(sizes).items():
            yield Found(name, f"has {size} bytes of memory, and most have {peers.common(sizes.values())}")


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "gpu-products-differ",
            "info",
            "host",
            "one product on a node",
            "Nothing is to be done if it was built so; a label can only name one product.",
        ),
        "nvmlDeviceGetName",
        "the driver does not say a GPU's product",
        _products,
    ),
    NodeCheck(
        Check(
            "mig-modes-differ",
            "warning",
            "runtime",
            "MIG mode on for all GPUs, or for none",
            "Set it alike (`nvidia-smi -mig`), unless a profile of mig-parted wants it so.",
        ),
        "nvmlDeviceGetMigMode",
        "the driver says it for some GPUs of a product only",
        _mig,
    ),
    NodeCheck(
        Check(
            "gpu-vbios-differs",
            "warning",
            "host",
            "one VBIOS on all GPUs of a product",
            "Update the GPUs' firmware alike; boards that were exchanged often come with another.",
        ),
        "nvmlDeviceGetVbiosVersion",
        "the input is not a capture, or the driver does not say",
        _vbios,
    ),
    NodeCheck(
        Check(
            "gpu-memory-differs",
            "warning",
            "host",
            "one size of memory on all GPUs of a product",
            "Look at ECC mode and at the product: `nvidia-smi -q -d ECC,MEMORY`.",
        ),
        "nvmlDeviceGetMemoryInfo",
        "the driver does not say it",
        _memory,
    ),
)
