"""``nvtopo inventory``: what this node, or every node of a folder, is made of."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvtopo.cli.machine import begin_node, file_or_folder_option, folder_in, live_options

if TYPE_CHECKING:
    from nvtopo.model.records.node import NodeTopology
    from nvtopo.model.records.snapshot import Snapshot
    from nvtopo.reports.inventory import Item

_FORMATS = ("csv", "json", "cyclonedx")


@click.command("inventory")
@file_or_folder_option
@click.option("--format", "form", type=click.Choice(_FORMATS), default="csv", show_default=True, help="Output format.")
@live_options
def command(source: str | None, form: str, root: str, nvml: str | None, node_name: str | None) -> None:
    """List the hosts, GPUs, NVSwitches, NICs and drives, for a CMDB or a bill of hardware."""
    from nvtopo.reports import inventory_formats

    folder = folder_in(source)
    if folder is not None:
        items = _many(Path(folder))
    else:
        reading = begin_node(source, root, nvml, node_name)
        from nvtopo.checks.check import Machine
        from nvtopo.cli.doctor import name_of
        from nvtopo.reports import inventory

        found = reading()
        items = list(inventory.of_node(Machine(found.node, found.snapshot), name_of(found, source)))
    click.echo(inventory_formats.render(form, items), nl=False)


def _many(folder: Path) -> "list[Item]":
    from nvtopo.aggregator import fleet
    from nvtopo.checks.check import Machine
    from nvtopo.model.formats.printable import printable
    from nvtopo.reports import inventory

    found: dict[str, tuple[Item, ...]] = {}

    def see(name: str, node: "NodeTopology", snapshot: "Snapshot | None") -> None:
        found[printable(name)] = inventory.of_node(Machine(node, snapshot), printable(name))

    unreadable = fleet.read(folder, see).listed.unreadable
    for name, reason in unreadable.items():
        click.echo(f"nvtopo: {printable(name)} is left out: {printable(reason)}", err=True)
    return [item for name in sorted(found) for item in found[name]]
