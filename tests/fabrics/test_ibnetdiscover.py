"""What bites in ibnetdiscover's output."""

import pytest

from nvtopo.fabrics import ibnetdiscover
from nvtopo.fabrics.fabric import Known
from tests.fabrics.ibfabric import Shape, Wired, host, text, wired
from tests.fabrics.reading import absent, evidence, partition, read, read_files

SMALL = Shape(racks=2, hosts=3, rails=2, spines=2)
RACKS = {frozenset(host(rack, at) for at in range(3)) for rack in range(2)}


@pytest.fixture
def small() -> Wired:
    return wired(SMALL)


@pytest.mark.parametrize(
    "said",
    [
        "Mellanox Technologies Aggregation Node",
        "nvme-storage01 mlx5_0",
        "ufm01 mlx5_0",
        "mgmt-2 HCA-1",
        "siwhost siw_0",
        "login-1 mlx5_0",
        "wekanode3 mlx5_0",
        "stg-01 mlx5_0",
        "slurmctl1 mlx5_0",
    ],
)
@pytest.mark.parametrize("switch", ["sw-k0-r0", "sp0-0"])
def test_what_does_not_compute_is_no_node_and_moves_nobody(small: Wired, said: str, switch: str) -> None:
    fabric = small
    for at in range(2):
        fabric = fabric.with_adapter(f"H-{0xAA00 + at:016x}", said, fabric.key(switch), 60 + at)
    assert partition(read(text(fabric))) == RACKS


def test_a_word_that_all_hosts_have_says_nothing() -> None:
    fabric = wired(SMALL)
    named = fabric._replace(said={key: said.replace("node-", "storage-gpu-") for key, said in fabric.said.items()})
    assert len(partition(read(text(named)))) == 2


def _said(fabric: Wired, was: str, now: str) -> Wired:
    return fabric._replace(said={key: now if said == was else said for key, said in fabric.said.items()})


@pytest.mark.parametrize("other", [f"{host(0, 1)}.example.com", host(0, 1).upper()])
def test_a_host_of_which_one_adapter_has_another_form_of_its_name_is_one_host(small: Wired, other: str) -> None:
    reading = read(text(_said(small, f"{host(0, 1)} mlx5_1", f"{other} mlx5_1")))
    assert partition(reading) == RACKS
    assert absent(reading) == set()


@pytest.mark.parametrize("mark", [":", "/", "_", "-", ".", "@", ";", "|", ", "])
def test_host_and_device_are_told_apart_whatever_stands_between_them(small: Wired, mark: str) -> None:
    said = {key: text_.replace(" mlx5", f"{mark}mlx5") for key, text_ in small.said.items()}
    reading = read(text(small._replace(said=said)))
    assert partition(reading) == RACKS
    assert {port.nic for port in reading.ports} == {"mlx5_0", "mlx5_1"}


def test_a_missing_cable_of_a_host_with_several_on_one_leaf_is_named() -> None:
    shape = Shape(racks=2, hosts=3, rails=1, spines=2)
    fabric = wired(shape)
    for rack in range(2):
        for at in range(3):
            key = f"H-{0xCC0000 + rack * 0x100 + at:016x}"
            fabric = fabric.with_adapter(key, f"{host(rack, at)} mlx5_1", fabric.key(f"sw-k{rack}-r0"), 50 + at)
    assert absent(read(text(fabric))) == set()
    cut = next(cable for cable in fabric.host_cables() if fabric.said[cable[0][0]] == f"{host(0, 1)} mlx5_1")
    reading = read(text(fabric.without(cut)))
    assert partition(reading) == RACKS
    assert absent(reading) == {frozenset({host(0, 1), "sw-k0-r0"})}
    assert evidence(reading) == [
        f"{host(0, 1)} mlx5_1 has no cable to sw-k0-r0, which most of the 3 nodes of its leaf group have"
    ]


def test_a_host_that_counts_its_adapters_otherwise_lacks_nothing(small: Wired) -> None:
    assert absent(read(text(_said(small, f"{host(0, 1)} mlx5_1", f"{host(0, 1)} mlx5_7")))) == set()


def test_hosts_of_two_domains_that_begin_alike_are_two(small: Wired) -> None:
    said = {key: text_.replace("node-", "node.") for key, text_ in small.said.items()}
    one, two = "x.r0.example.com", "x.r1.example.com"
    fabric = small._replace(said=said)
    for rail in range(2):
        fabric = _said(fabric, f"{host(0, 1)} mlx5_{rail}".replace("node-", "node."), f"{one} mlx5_{rail}")
        fabric = _said(fabric, f"{host(1, 1)} mlx5_{rail}".replace("node-", "node."), f"{two} mlx5_{rail}")
    assert {name for group in partition(read(text(fabric))) for name in group} >= {one, two}


def test_a_host_is_called_as_its_resource_is_whatever_the_case(small: Wired) -> None:
    fabric = small._replace(said={key: said.replace("node-", "NODE-") for key, said in small.said.items()})
    known = Known({}, frozenset(name for rack in RACKS for name in rack))
    assert partition(read(text(fabric), known)) == RACKS


def test_a_cable_that_an_adapter_without_a_name_may_have_is_not_called_missing(small: Wired) -> None:
    fabric = _said(small, f"{host(0, 1)} mlx5_1", "MT4129 ConnectX7   Mellanox Technologies")
    reading = read(text(fabric))
    assert partition(reading) == RACKS
    assert absent(reading) == set()
    assert len(evidence(reading)) == 1


def test_a_host_without_names_hides_no_missing_cable(small: Wired) -> None:
    fabric = small
    for rail in range(2):
        fabric = _said(fabric, f"{host(0, 1)} mlx5_{rail}", "MT4129 ConnectX7   Mellanox Technologies")
    cut = next(cable for cable in fabric.host_cables() if fabric.said[cable[0][0]] == f"{host(0, 2)} mlx5_1")
    assert absent(read(text(fabric.without(cut)))) == {frozenset({host(0, 2), "sw-k0-r1"})}


@pytest.mark.parametrize("gone", [None, "mlx5_0", "mlx5_9"])
def test_storage_ports_are_no_rails_and_join_no_racks(gone: str | None) -> None:
    fabric = wired(SMALL)
    for at in range(2):
        switch = f"S-{0xDD00 + at:016x}"
        fabric = fabric._replace(said={**fabric.said, switch: f"MF0;other-{at}:MQM9700/U1"})
        for number, node in enumerate(sorted(name for rack in RACKS for name in rack)):
            key = f"H-{0xCC0000 + at * 0x100 + number:016x}"
            fabric = fabric.with_adapter(key, f"{node} mlx5_{8 + at}", switch, number + 1)
    cables = [cable for cable in fabric.host_cables() if fabric.said[cable[0][0]] == f"{host(1, 1)} {gone}"]
    reading = read(text(fabric.without(*cables)))
    assert partition(reading) == RACKS
    assert {port.rail for port in reading.ports if port.nic in ("mlx5_8", "mlx5_9")} == {None}
    assert {port.rail for port in reading.ports if port.nic == "mlx5_1"} == {1}
    assert absent(reading) == ({frozenset({host(1, 1), "sw-k1-r0"})} if gone == "mlx5_0" else set())


def test_a_few_hosts_on_a_spine_do_not_make_it_a_leaf(small: Wired) -> None:
    reading = read(text(small.with_adapter("H-00000000000000aa", "odd-1 mlx5_0", small.key("sp0-0"), 60)))
    assert partition(reading) == RACKS
    assert len(partition(reading, "spine")) == 1


def test_a_switch_that_is_cabled_to_itself_is_named(small: Wired) -> None:
    leaf = small.key("sw-k0-r0")
    reading = read(text(small.with_cables(((leaf, 62), (leaf, 63)))))
    assert partition(reading) == RACKS
    assert evidence(reading) == ["sw-k0-r0 is cabled to itself, at port 62 and 63"]


def test_two_hosts_of_one_name_join_no_groups(small: Wired) -> None:
    twin = {key: said.replace(host(1, 0), host(0, 0)) for key, said in small.said.items()}
    reading = read(text(small._replace(said=twin)))
    assert partition(reading) == {
        frozenset({host(0, 1), host(0, 2)}),
        frozenset({host(1, 1), host(1, 2)}),
    }
    assert any("4 adapters share the names node-0-00 mlx5_0, mlx5_1" in words for words in evidence(reading))


def test_two_hosts_of_one_name_in_one_rack_are_in_its_group(small: Wired) -> None:
    twin = {key: said.replace(host(0, 1), host(0, 0)) for key, said in small.said.items()}
    assert frozenset({host(0, 0), host(0, 2)}) in partition(read(text(small._replace(said=twin))))


@pytest.mark.parametrize(
    "said", ["localhost HCA-1", "MT4129 ConnectX7   Mellanox Technologies", "", "mlx5_0", "gpu HCA-1"]
)
def test_without_host_names_it_is_refused(small: Wired, said: str) -> None:
    nameless = {key: said if key.startswith("H") else name for key, name in small.said.items()}
    reading = read(text(small._replace(said=nameless)))
    assert reading.claims == ()
    assert (reading.refused or "").startswith("no host names; 12 adapters")


def test_guids_name_hosts_whatever_their_descriptions_say(small: Wired) -> None:
    guids = {key[2:]: tuple(said.split()) for key, said in small.said.items() if key.startswith("H")}
    nameless = {key: "MT4129 ConnectX7" if key.startswith("H") else name for key, name in small.said.items()}
    known = Known({guid: (node, nic) for guid, (node, nic) in guids.items()})
    assert partition(read(text(small._replace(said=nameless)), known)) == RACKS


def test_planes_are_numbers_of_their_own() -> None:
    reading = read(text(wired(Shape(racks=2, hosts=3, rails=4, planes=4, spines=2))))
    assert partition(reading) == RACKS
    first = [port for port in reading.ports if port.node == host(0, 0)]
    assert sorted((port.rail, port.plane) for port in first) == [
        (rail, plane) for rail in range(4) for plane in range(4)
    ]
    assert all(port.leaf == f"sw-k0-r{port.rail}-p{port.plane}" for port in first)


def test_a_rail_keeps_its_number_in_a_rack_that_lost_the_rail_before() -> None:
    fabric = wired(Shape(racks=3, hosts=3, rails=3, spines=2))
    dead = fabric.key("sw-k0-r1")
    alive = fabric._replace(
        said={key: said for key, said in fabric.said.items() if key != dead},
        cables=tuple(cable for cable in fabric.cables if dead not in (cable[0][0], cable[1][0])),
    )
    reading = read(text(alive))
    assert len(partition(reading)) == 3
    assert {(port.nic, port.rail) for port in reading.ports if port.node == host(0, 0)} == {
        ("mlx5_0", 0),
        ("mlx5_2", 2),
    }


def test_swapped_cables_are_one_finding(small: Wired) -> None:
    one, two = (small.key(f"{host(0, 0)} mlx5_{rail}") for rail in range(2))
    first, second = (next(cable for cable in small.cables if cable[0][0] == key) for key in (one, two))
    swapped = small.without(first, second).with_cables((first[0], second[1]), (second[0], first[1]))
    reading = read(text(swapped))
    assert partition(reading) == RACKS
    (words,) = evidence(reading)
    assert words.startswith("node-0-00: swapped, mlx5_0 is on rail 1 (sw-k0-r1) and mlx5_1 on rail 0 (sw-k0-r0)")
    assert {(port.nic, port.leaf, port.expected) for port in reading.ports if port.expected} == {
        ("mlx5_0", "sw-k0-r1", "sw-k0-r0"),
        ("mlx5_1", "sw-k0-r0", "sw-k0-r1"),
    }


def test_a_cable_in_the_wrong_rack_is_said_with_where_it_belongs(small: Wired) -> None:
    key = small.key(f"{host(0, 0)} mlx5_1")
    cable = next(cable for cable in small.cables if cable[0][0] == key)
    reading = read(text(small.without(cable).with_cables(((key, 1), (small.key("sw-k1-r1"), 50)))))
    assert partition(reading) == RACKS
    tie, words = sorted(evidence(reading))
    assert tie.startswith("node-0-00 has as many cables to another leaf group as to its own")
    assert "mlx5_1 is on rail 1 (sw-k1-r1), should be on rail 1 (sw-k0-r1)" in words
    assert [(port.leaf, port.expected) for port in reading.ports if port.expected] == [("sw-k1-r1", "sw-k0-r1")]


def test_two_fabrics_without_a_cable_between_them_have_no_root_in_common() -> None:
    one = wired(SMALL)
    moved = {key[:2] + f"ff{key[4:]}": said.replace("node-", "other-") for key, said in one.said.items()}
    again = Wired(
        {key: said.replace(";s", ";t") for key, said in moved.items()},
        tuple(((a[:2] + f"ff{a[4:]}", port), (b[:2] + f"ff{b[4:]}", far)) for (a, port), (b, far) in one.cables),
    )
    reading = read(text(one) + text(again))
    assert len(partition(reading)) == 4
    assert partition(reading, "spine") == {
        frozenset(f"{kind}-{rack}-{at:02}" for rack in range(2) for at in range(3)) for kind in ("node", "other")
    }


def test_a_leaf_without_hosts_is_no_core(small: Wired) -> None:
    spines = [small.key(f"sp0-{at}") for at in range(2)]
    empty = "S-00000000000000ee"
    fabric = Wired(
        {**small.said, empty: "MF0;sw-spare:MQM9700/U1"},
        (*small.cables, *(((empty, at + 1), (spine, 63)) for at, spine in enumerate(spines))),
    )
    reading = read(text(fabric))
    assert partition(reading, "core") == set()
    assert evidence(reading) == []


def test_a_fabric_in_several_files_is_one(small: Wired) -> None:
    rails = [
        small._replace(cables=tuple(c for c in small.cables if any(f"r{rail}" in small.said[end[0]] for end in c)))
        for rail in range(2)
    ]
    (reading,) = read_files({f"rail{at}": text(one) for at, one in enumerate(rails)}).values()
    assert partition(reading) == RACKS
    assert evidence(reading) == []


def test_a_text_that_is_cut_is_answered_for_what_is_there_and_says_so(small: Wired) -> None:
    whole = text(small)
    late = read(whole[: whole.rindex("caguid")] + "caguid=0xb8\nCa\t1 ")
    assert partition(late) == RACKS
    assert any("it is cut in line" in words for words in evidence(late))


def test_a_text_that_is_cut_among_its_leaves_groups_the_hosts_of_those_that_are_listed(small: Wired) -> None:
    blocks = [block for block in text(small).split("\n\n") if "switchguid=" in block]
    leaves = [block for block in blocks if '"H-' in block]
    for end in ("", '\n[3]\t"H-b83'):
        reading = read("\n\n".join(leaves[:2]) + end)
        assert partition(reading) <= RACKS
        assert partition(reading)
        assert absent(reading) == set(), "what is not listed is not missing"
        (said,) = evidence(reading)
        assert "adapters are named but not listed" in said


def test_a_text_that_is_cut_before_any_leaf_is_refused(small: Wired) -> None:
    spines = [block for block in text(small).split("\n\n") if "switchguid=" in block and '"H-' not in block]
    reading = read(spines[0] + '\n[3]\t"S-b83')
    assert "it is cut in line" in (reading.refused or "")
    assert "have no host" in (reading.refused or "")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_and_indentation_do_not_matter(small: Wired, end: str) -> None:
    assert partition(read(text(small).replace("\n", f"{end}  "))) == RACKS


def test_the_order_of_blocks_does_not_matter(small: Wired) -> None:
    blocks = text(small).split("\n\n")
    assert read("\n\n".join(reversed(blocks))) == read(text(small))


def test_a_port_report_says_the_same(small: Wired) -> None:
    lines = []
    for (a, port), (b, far) in small.cables:
        ends = [
            ("CA" if key[0] == "H" else "SW", key, number, small.said[key]) for key, number in ((a, port), (b, far))
        ]
        for one, other in (ends, ends[::-1]):
            left = f"{one[0]}  7 {one[2]} 0x{one[1][2:]} 4x NDR"
            lines.append(f"{left} - {other[0]}  9 {other[2]} 0x{other[1][2:]} ( '{one[3]}' - '{other[3]}' )")
    assert partition(read("\n".join(lines) + "\n")) == RACKS


def test_a_missing_cable_names_both_ends(small: Wired) -> None:
    gone = next(cable for cable in small.cables if cable[0][0] == small.key(f"{host(1, 2)} mlx5_0"))
    reading = read(text(small.without(gone)))
    assert absent(reading) == {frozenset({host(1, 2), "sw-k1-r0"})}
    assert evidence(reading)[0].startswith("node-1-02 mlx5_0 has no cable to sw-k1-r0")


def test_a_router_and_a_long_line_are_read(small: Wired) -> None:
    leaf = small.key("sw-k0-r0")
    odd = (
        f'Rt\t2 "R-00000000000000cc"\t\t# "Router"\n[1]\t"{leaf}"[61]\t\t# lid 1 lmc 0 "x" lid 2 4xNDR\n{"#" * 9000}\n'
    )
    assert partition(read(text(small) + odd)) == RACKS
    assert ibnetdiscover.looks_like(odd)
