"""The Node object against what the node shows: our labels, those of GPU feature discovery, and the GPUs it offers."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions.features import PREFIX, features
from nvtopo.model.conclusions.product_labels import product_features

_CLIQUE: Final = "nvidia.com/gpu.clique"
_COUNT: Final = "nvidia.com/gpu.count"
_PRODUCT: Final = "nvidia.com/gpu.product"
_RESOURCE: Final = "nvidia.com/gpu"
_NO_NODE: Final = "no Node of its name is given"
_NO_LABEL: Final = "its Node has no such label"


def _ours(machine: Machine) -> Iterator[CheckResult]:
    """A label that is absent says nothing; one with another value sends jobs to the wrong place."""
    if machine.labels is None:
        return
    if machine.labels.values is None:
        yield Unknown(NODE, _NO_NODE)
        return
    facts = features(machine.node, machine.derived) | product_features(machine.node)
    due = {name: value for name, value in facts.items() if name.startswith(PREFIX)}
    found = {name: value for name, value in machine.labels.values.items() if name.startswith(PREFIX)}
    if not found:
        yield Unknown(NODE, _NO_LABEL)
    yield from _compared(found, due)


def _others(machine: Machine) -> Iterator[CheckResult]:
    if machine.labels is None or not machine.node.gpus:
        return
    if machine.labels.values is None:
        yield Unknown(NODE, _NO_NODE)
        return
    due = _of_discovery(machine)
    found = {name: value for name, value in machine.labels.values.items() if name in due}
    if not found:
        yield Unknown(NODE, _NO_LABEL)
    products = {_PRODUCT: due[_PRODUCT]} if found.get(_PRODUCT, "").startswith(f"{due.get(_PRODUCT)}-") else {}
    yield from _compared(found | products, due)  # GFD adds -SHARED and the profile of MIG


def _of_discovery(machine: Machine) -> dict[str, str]:
    """Label → what GPU feature discovery writes for these GPUs, as far as it is known."""
    due = {}
    if machine.derived.nvlink_domain is not None:
        due[_CLIQUE] = machine.derived.nvlink_domain
    if not any(gpu.mig for gpu in machine.node.gpus):
        due[_COUNT] = str(len(machine.node.gpus))
    if len(products := {gpu.name for gpu in machine.node.gpus}) == 1 and (product := products.pop()):
        due[_PRODUCT] = product.replace(" ", "-")
    return due


def _compared(found: Mapping[str, str], due: Mapping[str, str]) -> Iterator[CheckResult]:
    wrong = {name: value for name, value in sorted(found.items()) if value != due.get(name)}
    for name, value in wrong.items():
        shown = f"the node shows {due[name]}" if name in due else "the node does not show it"
        yield Found(name, f"is {value} on the Node, and {shown}", expected=due.get(name, "no such label"))
    if found and not wrong:
        yield Fits()


def _offered(machine: Machine) -> Iterator[CheckResult]:
    """Fewer than answer: the device plugin calls some ill, or was started before they came back."""
    if machine.labels is None or not machine.node.gpus or any(gpu.mig for gpu in machine.node.gpus):
        return
    offered = machine.labels.offered_gpus
    if machine.labels.values is None or machine.labels.allocatable is None:
        yield Unknown(NODE, _NO_NODE if machine.labels.values is None else "its Node has no status")
    elif offered is None:
        yield Unknown(
            NODE, f"its Node offers no {_RESOURCE}: no device plugin runs there, or a DRA driver in its place"
        )
    elif offered < len(machine.node.gpus):
        yield Found(NODE, f"its Node offers {offered} {_RESOURCE}, and {len(machine.node.gpus)} GPUs answer")
    else:
        yield Fits()  # with time-slicing it is more


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "node-labels-differ",
            "warning",
            "scheduler",
            "labels of nvtopo.io on the Node that are true of it now",
            "Look at the agent's log, at nfd-worker and at nfd-master: one of them may be down.",
        ),
        "labels of the Node (--nodes)",
        "the file of --nodes has no Node of this name, or the Node has no such label",
        _ours,
    ),
    NodeCheck(
        Check(
            "gfd-labels-differ",
            "warning",
            "scheduler",
            "labels nvidia.com/gpu.{clique,count,product} on the Node that are true of it now",
            "Restart gpu-feature-discovery on the node: older ones read the clique only once, at their start.",
        ),
        "labels of the Node (--nodes)",
        "the file of --nodes has no Node of this name, or the Node has no such label",
        _others,
    ),
    NodeCheck(
        Check(
            "node-gpus-missing",
            "warning",
            "scheduler",
            "each GPU that answers among the Node's allocatable nvidia.com/gpu",
            "Look at the device plugin's log: it takes a GPU with a critical XID away until it is started again.",
        ),
        "status.allocatable of the Node (--nodes)",
        "the file of --nodes has no Node of this name, or the Node offers no nvidia.com/gpu",
        _offered,
    ),
)
