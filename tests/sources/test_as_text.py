"""A device may have any bytes as its name: it costs itself nothing but those bytes, and the agent nothing."""

import os
from pathlib import Path

import msgspec

from nvtopo.kube.v1alpha1 import spec_document
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.record import Problem
from nvtopo.sources import reading
from nvtopo.sources.as_text import as_text
from nvtopo.sources.machine import Reading

NAME = os.fsdecode(b"e\xffth")
SHOWN = "e\ufffdth"


def a_machine(root: Path) -> None:
    """With one NIC of that name."""
    function = root / "sys/devices/pci0000:00/0000:00:01.0"
    device = function / "net" / NAME
    device.mkdir(parents=True)
    for file, content in (("class", "0x020000"), ("vendor", "0x15b3"), ("device", "0x1021"), ("numa_node", "-1")):
        (function / file).write_text(f"{content}\n")
    for file, content in (("ifindex", "7"), ("mtu", "1500"), ("operstate", "up")):
        (device / file).write_text(f"{content}\n")
    (device / "device").symlink_to("../../../0000:00:01.0")
    for folder in ("sys/bus/pci/devices", "sys/class/net", "proc"):
        (root / folder).mkdir(parents=True)
    (root / "sys/bus/pci/devices/0000:00:01.0").symlink_to("../../../devices/pci0000:00/0000:00:01.0")
    (root / "sys/class/net" / NAME).symlink_to(f"../../devices/pci0000:00/0000:00:01.0/net/{NAME}")


def test_a_network_device_whose_name_is_no_text_is_published(tmp_path: Path) -> None:
    a_machine(tmp_path)
    snapshot = reading.read(reading.this_machine(root=str(tmp_path)))
    assert snapshot.net is not None
    assert [(device.name, device.mtu_bytes) for device in snapshot.net.devices] == [(SHOWN, 1500)]
    document = msgspec.json.decode(spec_document("node-a", assemble(snapshot), "uid"))
    assert [nic["name"] for nic in document["spec"]["nics"]] == [SHOWN]


def test_what_is_text_stays_as_it_is() -> None:
    fine = Reading({"policy": "static"}, (Problem(source="x", subject="é", reason="no"),))
    assert as_text(fine) is fine
    odd = Reading({"policy": NAME, NAME: 1}, (Problem(source="x", subject=f"/sys/{NAME}", reason="no"),))
    found = as_text(odd)
    assert found.facts == {"policy": SHOWN, SHOWN: 1}
    assert found.problems == (Problem(source="x", subject=f"/sys/{SHOWN}", reason="no"),)
