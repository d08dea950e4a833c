"""``nvtopo doctor --plan``: what to run to measure the links."""

from pathlib import Path
from typing import TYPE_CHECKING

from nvtopo.cli.doctor import name_of
from nvtopo.cli.doctor_output import Output
from nvtopo.cli.machine import begin_node, folder_in
from nvtopo.errors import UsageError

if TYPE_CHECKING:
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot


def print_plan(  # noqa: PLR0913, PLR0917 - where the nodes are
    source: str | None, output: Output, root: str, nvml: str | None, node_name: str | None, host: str | None
) -> int:
    """Print the plan; judge and run nothing."""
    from nvtopo.checks import plan
    from nvtopo.checks.check import Machine
    from nvtopo.reports import plan as shown

    if output.form not in {"text", "json"}:
        raise UsageError("doctor: --plan is with --format text or json")
    machines: dict[str, Machine] = {}
    folder = folder_in(source)
    if folder is not None:
        from nvtopo.aggregator import fleet

        def see(name: str, node: "NodeTopology", snapshot: "Snapshot | None") -> None:
            machines[name] = Machine(node, snapshot)

        fleet.read(Path(folder), see)
    else:
        found = begin_node(source, root, nvml, node_name, host)()
        machines[name_of(found, source)] = Machine(found.node, found.snapshot)
    made = plan.of(machines)
    output.write(shown.text(made) if output.form == "text" else shown.document(made))
    return 0
