"""Labels of driver, CUDA and product, for clusters without GPU feature discovery, which gives them under its own names.

A label of the GPUs is there if all of them have one value: on a node of several products no single one would be true.
"""

import re
from collections.abc import Iterable
from typing import Final

from nvtopo.model.conclusions import unseen
from nvtopo.model.conclusions.features import PREFIX, is_legal
from nvtopo.model.records.node import NodeTopology

_DRIVER: Final = re.compile(r"([0-9]{1,9})\.[0-9.]{1,40}")
_TWO_NUMBERS: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")
_MEBIBYTE: Final = 1 << 20


def product_features(node: NodeTopology) -> dict[str, str]:
    """Label name → value, in order of the names."""
    found = _software(node) | _gpus(node)
    shown = unseen.shown({PREFIX + name: value for name, value in found.items()}, node.unseen)
    return {name: value for name, value in sorted(shown.items()) if is_legal(value)}


def _software(node: NodeTopology) -> dict[str, str]:
    found = {}
    driver = node.host.driver_version or ""
    if number := _DRIVER.fullmatch(driver):
        found = {"driver.version": driver, "driver.major": number[1]}
    return found | _numbers("cuda", node.host.cuda_version or "")


def _gpus(node: NodeTopology) -> dict[str, str]:
    found = _numbers("gpu.compute", _agreed(gpu.compute_capability for gpu in node.gpus))
    if product := _agreed(gpu.name for gpu in node.gpus):
        found["gpu.product"] = product.replace(" ", "-")
    sizes = {gpu.memory_bytes for gpu in node.gpus}
    if len(sizes) == 1 and (size := sizes.pop()) is not None:
        found["gpu.memory-mib"] = str(size // _MEBIBYTE)
    return found


def _agreed(values: Iterable[str | None]) -> str:
    """The one value that all have; empty if they differ or one is not known."""
    found = set(values)
    return (found.pop() or "") if len(found) == 1 else ""


def _numbers(name: str, version: str) -> dict[str, str]:
    """The two numbers of a version, each a label of its own, for ``Gt``."""
    number = _TWO_NUMBERS.fullmatch(version)
    return {} if number is None else {f"{name}.major": str(int(number[1])), f"{name}.minor": str(int(number[2]))}
