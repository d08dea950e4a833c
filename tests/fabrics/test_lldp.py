"""What hosts hear by LLDP."""

import json
from typing import Any

import pytest

from nvtopo.fabrics import lldp
from tests.fabrics.reading import absent, evidence, partition, read, read_files


def heard(  # noqa: PLR0913 - what LLDP says
    interface: str,
    switch: str,
    port: str = "Ethernet1",
    *,
    kind: str = "ifname",
    system: str = "NX-OS",
    capabilities: tuple[str, ...] = ("Bridge", "Router"),
    description: str = "",
) -> dict[str, Any]:
    """One neighbour in lldpctl's ``json``."""
    chassis = {
        "id": {"type": "mac", "value": f"02:00:00:00:00:{hash(switch) % 100:02}"},
        "descr": system,
        "capability": [{"type": one, "enabled": True} for one in capabilities],
    }
    about = {"id": {"type": kind, "value": port}, "descr": description, "ttl": "120"}
    return {interface: {"via": "LLDP", "chassis": {switch: chassis}, "port": about}}


def json_(*neighbours: dict[str, Any]) -> str:
    """lldpctl has an object for one, and a list for several."""
    return json.dumps({"lldp": {"interface": neighbours[0] if len(neighbours) == 1 else list(neighbours)}})


def json0(*neighbours: dict[str, Any]) -> str:
    """The same in ``json0``, where all is a list."""
    interfaces = []
    for one in neighbours:
        ((name, body),) = one.items()
        ((switch, chassis),) = body["chassis"].items()
        interfaces.append(
            {
                "name": name,
                "via": "LLDP",
                "chassis": [
                    {
                        "id": [chassis["id"]],
                        "name": [{"value": switch}],
                        "descr": [{"value": chassis["descr"]}],
                        "capability": chassis["capability"],
                    }
                ],
                "port": [{"id": [body["port"]["id"]], "descr": [{"value": body["port"]["descr"]}]}],
            }
        )
    return json.dumps({"lldp": [{"interface": interfaces}]})


def keyvalue(*neighbours: dict[str, Any]) -> str:
    """The same in ``keyvalue``, where a description of several lines goes on without a key."""
    lines = []
    for one in neighbours:
        ((name, body),) = one.items()
        ((switch, chassis),) = body["chassis"].items()
        lines += [f"lldp.{name}.via=LLDP", f"lldp.{name}.rid=1", f"lldp.{name}.age=0 day, 00:00:10"]
        lines += [f"lldp.{name}.chassis.{chassis['id']['type']}={chassis['id']['value']}"]
        lines += [f"lldp.{name}.chassis.name={switch}", f"lldp.{name}.chassis.descr={chassis['descr']}", "(C) 2026"]
        lines += [f"lldp.{name}.chassis.{one['type']}.enabled=on" for one in chassis["capability"]]
        lines += [f"lldp.{name}.port.{body['port']['id']['type']}={body['port']['id']['value']}"]
        lines += [f"lldp.{name}.port.descr={body['port']['descr']}", f"lldp.{name}.port.ttl=120"]
    return "\n".join(lines) + "\n"


RACKS = {frozenset({"n0", "n1", "n2"}), frozenset({"n3", "n4", "n5"})}


def rack_files(form: Any, without: tuple[int, int] | None = None) -> dict[str, str]:
    """Six hosts of two racks with three rails, a file each."""
    files = {}
    for at in range(6):
        rails = [rail for rail in range(3) if (at, rail) != without]
        neighbours = [heard(f"eth{rail}", f"k{at // 3}-r{rail}", f"Ethernet{at % 3 + 1}") for rail in rails]
        files[f"run/n{at}.lldp.json"] = form(*neighbours)
    return files


@pytest.mark.parametrize("form", [json_, json0, keyvalue])
def test_hosts_of_a_rack_are_together_and_a_missing_cable_is_named(form: Any) -> None:
    (reading,) = read_files(rack_files(form)).values()
    assert partition(reading) == RACKS
    assert evidence(reading) == []
    (reading,) = read_files(rack_files(form, without=(4, 1))).values()
    assert partition(reading) == RACKS
    assert absent(reading) == {frozenset({"n4", "k1-r1"})}
    assert {(port.nic, port.rail) for port in reading.ports if port.node == "n4"} == {("eth0", 0), ("eth2", 2)}


@pytest.mark.parametrize("form", [json_, json0, keyvalue])
def test_one_neighbour_and_one_interface_are_read(form: Any) -> None:
    reading = read(form(heard("eth0", "leaf", "swp7")), name="gpu07.json")
    assert [(port.node, port.nic, port.leaf, port.port) for port in reading.ports] == [
        ("gpu07", "eth0", "leaf", "swp7")
    ]


@pytest.mark.parametrize(
    "other",
    [
        heard("eth0", "gpu07", "02:00:00:00:00:01", kind="mac", system="Ubuntu 24.04", description="eth0.4"),
        heard("eth0", "gpu07.example.org", "02:00:00:00:00:01", kind="mac", system="Debian"),
        heard("eth0", "phone", "p1", kind="local", capabilities=("Station",)),
        heard("eth0", "gpu08", "02:00:00:00:00:02", kind="mac", system="Rocky Linux 9"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_switch_is_the_neighbour_whoever_else_is_heard(other: dict[str, Any], first: bool) -> None:
    switch = heard("eth0", "leaf", "swp7", system="Cumulus Linux based on Debian")
    reading = read(json_(*((switch, other) if first else (other, switch))), name="gpu07.lldp.json")
    assert [(port.node, port.leaf) for port in reading.ports] == [("gpu07", "leaf")]


def test_two_switches_on_one_port_are_unclear_and_said() -> None:
    neighbours = [heard("eth0", "leaf-1"), heard("eth0", "leaf-2"), heard("eth1", "leaf-3")]
    reading = read(json_(*neighbours), name="n1.json")
    assert {port.nic for port in reading.ports} == {"eth1"}
    assert evidence(reading) == ["n1: eth0 hears 2 switches, leaf-1, leaf-2; none is taken for its own"]


def test_a_host_that_hears_itself_tells_its_name() -> None:
    own = heard("vf0", "host-a", "02:00:00:00:00:01", kind="mac", system="Ubuntu", description="vf0.7")
    assert {port.node for port in read(json_(own, heard("eth0", "leaf")), name="lldp.json").ports} == {"host-a"}


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("gpu07.json", "gpu07"),
        ("gpu07/lldp.json", "gpu07"),
        ("a/lldp-gpu07.json", "gpu07"),
        ("gpu07.example.org.lldp.json", "gpu07.example.org"),
        ("lldpctl_gpu07.txt", "gpu07"),
        ("lldp.json", "lldp.json"),
    ],
)
def test_the_host_is_called_after_its_file(path: str, host: str) -> None:
    assert lldp.host_of(path) == host


@pytest.mark.parametrize(
    ("ports", "odd"),
    [
        (("Ethernet98", "Ethernet98", "Ethernet97"), "eth2"),
        (("Ethernet54p1", "Ethernet54p2", "Ethernet54p1"), None),
        (("1/0/1:1", "1/0/1:2", "1/0/1:1"), None),
        (("swp3s0", "swp3s1", "swp3s0"), None),
        (("swp3", "swp3", "swp4"), "eth2"),
        (("ethernet12a", "ethernet12b", "ethernet12a"), None),
        (("Ethernet1/7", "Ethernet1/7", "Ethernet1/9"), "eth2"),
        (("Ethernet1", "Ethernet2", "Ethernet3"), None),
    ],
)
def test_a_nic_on_another_port_number_than_its_peers(ports: tuple[str, ...], odd: str | None) -> None:
    neighbours = [heard(f"eth{at}", f"leaf-r{at}", port) for at, port in enumerate(ports)]
    more = heard("mgmt0", "mgmt-1", "Ethernet40")
    words = evidence(read(json_(*neighbours, more), name="n1.json"))
    assert [said.split(": ")[1].split()[0] for said in words] == ([odd] if odd else [])


def test_nics_on_one_switch_are_not_compared() -> None:
    neighbours = [heard(f"eth{at}", "leaf", f"Ethernet{at}") for at in range(4)]
    assert evidence(read(json_(*neighbours), name="n1.json")) == []


def test_a_management_network_joins_no_racks() -> None:
    files = {
        f"n{at}.json": json_(heard("eth0", f"k{at // 3}", f"Ethernet{at}"), heard("eno1", "oob-mgmt-sw", f"swp{at}"))
        for at in range(6)
    }
    (reading,) = read_files(files).values()
    assert partition(reading) == RACKS
    assert {port.leaf for port in reading.ports} == {"k0", "k1"}


def test_a_hosts_own_dpu_is_no_switch() -> None:
    dpu = heard("eth0", "dpu-1", "pf0hpf", system="Ubuntu 22.04")
    assert {port.leaf for port in read(json_(dpu, heard("eth0", "leaf-1")), name="n1.json").ports} == {"leaf-1"}
    both = [dpu, heard("eth1", "dpu-1", "pf1hpf"), heard("eth0", "leaf-1"), heard("eth1", "leaf-2")]
    assert {port.node for port in read(json_(*both), name="n1.json").ports} == {"n1"}
    assert (read(json_(dpu), name="n1.json").refused or "").startswith("expected a switch on a port of 1 hosts")


def test_a_switch_that_some_hear_with_its_domain_is_one_switch() -> None:
    plain, longer = heard("eth0", "leaf-1"), heard("eth0", "leaf-1.example.com")
    body = longer["eth0"]["chassis"]["leaf-1.example.com"]
    body["id"] = plain["eth0"]["chassis"]["leaf-1"]["id"]
    (reading,) = read_files({"n1.json": json_(plain), "n2.json": json_(longer)}).values()
    assert partition(reading) == {frozenset({"n1", "n2"})}
    assert {port.leaf for port in reading.ports} == {"leaf-1"}


def test_text_for_people_is_refused_with_the_format_to_ask_for() -> None:
    text = "-" * 79 + "\nInterface:    eth0, via: LLDP, RID: 1, Time: 0 day, 00:00:10\n  Chassis:\n"
    assert "lldpctl -f json" in (read(text).refused or "")


def test_an_interface_with_a_dot_is_its_own() -> None:
    text = keyvalue(heard("eth0", "leaf-1"), heard("eth0.100", "leaf-2"))
    assert {(port.nic, port.leaf) for port in read(text).ports} == {("eth0", "leaf-1"), ("eth0.100", "leaf-2")}


def test_nobody_heard_is_refused() -> None:
    assert (read('{"lldp": {}}').refused or "").startswith("expected neighbours")
