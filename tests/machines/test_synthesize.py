"""The generated fixtures: as the generator writes them, in agreement with each other, and of nobody's machine."""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest

from fixtures import synthesize
from fixtures.synthesize import vpd
from fixtures.synthesize.description import Machine
from tests.machines import sysfs_text
from tests.machines.sysfs_text import Entry, File, Link, Unreadable

pytestmark = pytest.mark.slow

MACHINES = pytest.mark.parametrize("machine", synthesize.MACHINES, ids=lambda machine: machine.name)


def _read(machine: Machine) -> tuple[dict[str, Entry], dict[str, Any]]:
    return _read_once(machine.name)


@cache
def _read_once(name: str) -> tuple[dict[str, Entry], dict[str, Any]]:
    (machine,) = (machine for machine in synthesize.MACHINES if machine.name == name)
    sys_text, nvml_text = synthesize.texts(machine)
    return sysfs_text.parse(sys_text), {"gpus": []} if nvml_text is None else json.loads(nvml_text)


def _value(entries: dict[str, Entry], path: str) -> str:
    entry = entries[path]
    assert isinstance(entry, File)
    return entry.content.decode().removesuffix("\n")


def test_committed_files_are_what_the_generator_writes() -> None:
    for name, text in synthesize.files().items():
        assert (synthesize.FIXTURES / name).read_text() == text, f"{name}: run python -m fixtures.synthesize"


@MACHINES
def test_every_gpu_of_nvml_is_on_the_bus_at_the_same_place(machine: Machine) -> None:
    entries, nvml = _read(machine)
    for gpu in nvml["gpus"]:
        device = "/sys/devices/" + "/".join(gpu["path"])
        link = f"/sys/bus/pci/devices/{gpu['path'][-1]}"
        assert entries[link] == Link(posixpath.relpath(device, posixpath.dirname(link)))
        assert _value(entries, f"{device}/numa_node") == str(gpu["numaNode"])
        assert _value(entries, f"{device}/class") == gpu["class"]
        device_and_vendor = _value(entries, f"{device}/device") + _value(entries, f"{device}/vendor")[2:]
        assert device_and_vendor == gpu["device"]


@MACHINES
def test_every_visible_switch_of_a_link_is_on_the_bus(machine: Machine) -> None:
    entries, nvml = _read(machine)
    ends = [
        (link["bdf"], link["port"]) for gpu in nvml["gpus"] for link in gpu.get("links", []) if link["bdf"] != "hidden"
    ]
    assert len(set(ends)) == len(ends)
    assert all(f"/sys/bus/pci/devices/{bdf}" in entries for bdf, _ in ends)


@MACHINES
def test_every_link_leads_somewhere_inside_the_tree(machine: Machine) -> None:
    entries, _ = _read(machine)
    places = {str(above) for path in entries for above in (PurePosixPath(path), *PurePosixPath(path).parents)}
    links = [path for path, entry in entries.items() if isinstance(entry, Link) and not path.endswith("/driver")]
    assert {_target(entries, path) for path in links} <= places


@MACHINES
def test_no_identifier_is_written_twice(machine: Machine) -> None:
    entries, nvml = _read(machine)
    addresses = [
        _value(entries, path)
        for path in entries
        if re.fullmatch(r"/sys/devices/.*/(node_guid|net/[^/]+/address)", path) and "/lo/" not in path
    ]
    names = [gpu[key] for gpu in nvml["gpus"] for key in ("uuid", "serial")]
    for identifiers in (addresses, names):
        assert len(set(identifiers)) == len(identifiers)


def test_each_h100_shares_a_switch_with_the_nic_of_its_number() -> None:
    entries, nvml = _read(synthesize.MACHINES[0])
    for number, gpu in enumerate(nvml["gpus"]):
        switch = "/".join(gpu["path"][:3])
        nics = {match[1] for path in entries if (match := re.search(rf"{switch}/.*/infiniband/(\w+)/fw_ver", path))}
        assert nics == {f"mlx5_{number}"}


def test_empty_rows_of_a_gid_table_cannot_be_read() -> None:
    entries, _ = _read(synthesize.MACHINES[0])
    rows = {path: entry for path, entry in entries.items() if "/mlx5_0/ports/1/gid_attrs/types/" in path}
    readable = [_value(entries, path) for path, entry in sorted(rows.items()) if isinstance(entry, File)]
    assert readable == ["IB/RoCE v1", "RoCE v2", "IB/RoCE v1", "RoCE v2"]
    assert {entry for entry in rows.values() if not isinstance(entry, File)} == {Unreadable("EINVAL")}


def test_trays_share_a_rack_and_nothing_else() -> None:
    trays = {name: json.loads(nvml_text) for name, _, nvml_text in synthesize.trays(18)}
    gpus = [gpu for nvml in trays.values() for gpu in nvml["gpus"]]
    assert len(trays) == 18
    assert len({gpu["fabric"]["clusterUuid"] for gpu in gpus}) == 1
    assert len({gpu["platform"]["chassisSerial"] for gpu in gpus}) == 1
    for unique in ("uuid", "serial"):
        assert len({gpu[unique] for gpu in gpus}) == 72
    assert len({gpu["platform"]["ibGuid"] for gpu in gpus}) == 72
    assert len({gpu["links"][0]["port"] for gpu in gpus}) == 72
    assert sorted({(gpu["platform"]["tray"], gpu["platform"]["slot"]) for gpu in gpus}) == [
        (n, n + 10) for n in range(18)
    ]


def test_trays_have_their_own_host_name_addresses_and_boot() -> None:
    trees = [sysfs_text.parse(sys_text) for _, sys_text, _ in synthesize.trays(18)]
    for path in (
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/random/boot_id",
        "/sys/devices/virtual/dmi/id/product_serial",
    ):
        assert len({_value(tree, path) for tree in trees}) == 18
    guids = [_value(tree, path) for tree in trees for path in tree if path.endswith("/node_guid")]
    assert len(set(guids)) == len(guids) == 18 * 5


def test_the_committed_tray_is_one_of_the_rack() -> None:
    by_name = {name: (sys_text, nvml_text) for name, sys_text, nvml_text in synthesize.trays(18)}
    machine = synthesize.MACHINES[1]
    assert by_name[machine.hostname] == synthesize.texts(machine)


@MACHINES
def test_both_ends_of_a_link_between_gpus_name_each_other(machine: Machine) -> None:
    _, nvml = _read(machine)
    ends = {
        (gpu["path"][-1], number): (link["bdf"], link["port"])
        for gpu in nvml["gpus"]
        for number, link in enumerate(gpu.get("links", []))
        if link["to"] == "gpu"
    }
    assert all(ends[there] == here for here, there in ends.items())


@MACHINES
def test_virtual_functions_and_their_parent_name_each_other(machine: Machine) -> None:
    entries, _ = _read(machine)
    up = {path for path in entries if path.endswith("/physfn")}
    down = {path for path in entries if re.search(r"/virtfn\d+$", path)}
    assert {_target(entries, path) for path in down} == {posixpath.dirname(path) for path in up}
    assert {_target(entries, path) for path in up} == {posixpath.dirname(path) for path in down}


def _target(entries: dict[str, Entry], path: str) -> str:
    link = entries[path]
    assert isinstance(link, Link)
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link.target))


def test_vital_product_data_adds_up_to_zero_and_holds_its_texts() -> None:
    data = vpd.render("Adapter", {"PN": "PART", "V0": "SMDL=SW_MNG"})
    assert sum(data[:-1]) & 0xFF == 0
    assert data[-1:] == b"\x78"
    assert b"SMDL=SW_MNG" in data
    assert b"PN\x04PART" in data


def test_a_domain_below_a_device_has_a_host_bridge_of_its_own() -> None:
    (machine,) = (machine for machine in synthesize.MACHINES if machine.name == "a100-vmd-domain-10000")
    entries, _ = _read(machine)
    disk = _target(entries, "/sys/bus/pci/devices/10000:01:00.0")
    assert re.fullmatch(r"/sys/devices/pci0000:64/0000:64:01\.0/pci10000:00/10000:00:01\.0/10000:01:00\.0", disk)


def test_every_host_name_is_one_machine_s() -> None:
    names = [machine.hostname for machine in synthesize.MACHINES]
    assert len(set(names)) == len(names)


def test_both_functions_of_a_connectx_8_carry_one_mark() -> None:
    (machine,) = (machine for machine in synthesize.MACHINES if machine.name == "gb300-nvl72-tray")
    entries, _ = _read(machine)
    marks = {
        path: entry.content for path, entry in entries.items() if path.endswith("/vpd") and isinstance(entry, File)
    }
    assert len(marks) == 8
    assert len(set(marks.values())) == 4
