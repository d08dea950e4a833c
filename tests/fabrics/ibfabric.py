"""Generates InfiniBand fabrics as ``ibnetdiscover`` prints them: racks, rails, planes, spines, cores."""

from collections.abc import Iterable
from typing import NamedTuple

Ends = tuple[tuple[str, int], tuple[str, int]]


class Wired(NamedTuple):
    """A fabric: who there is, and what is cabled to what."""

    said: dict[str, str]
    """GUID with its letter → description."""
    cables: tuple[Ends, ...]

    def without(self, *gone: Ends) -> "Wired":
        """The same with cables taken out."""
        return self._replace(cables=tuple(cable for cable in self.cables if cable not in gone))

    def with_cables(self, *more: Ends) -> "Wired":
        return self._replace(cables=(*self.cables, *more))

    def with_adapter(self, key: str, said: str, switch: str, port: int) -> "Wired":
        return Wired({**self.said, key: said}, (*self.cables, ((key, 1), (switch, port))))

    def key(self, description: str) -> str:
        """The GUID of the device with this description."""
        return next(key for key, said in self.said.items() if said == description or f";{description}:" in said)

    def names(self, cable: Ends) -> tuple[str, str]:
        """The host or switch at each end."""
        return self._name(cable[0][0]), self._name(cable[1][0])

    def host_cables(self) -> list[Ends]:
        return [cable for cable in self.cables if cable[0][0].startswith("H")]

    def _name(self, key: str) -> str:
        said = self.said[key]
        return said.split(";")[1].split(":")[0] if ";" in said else said.split()[0]


class Shape(NamedTuple):
    """How large, and how it is built."""

    racks: int = 8
    hosts: int = 15
    rails: int = 4
    planes: int = 1
    spines: int = 4
    """Above each pod; each leaf has one cable to each."""
    pods: int = 1
    """With more than one, cores join them."""
    cores: int = 4
    rail_spines: bool = False
    """Each rail has its own spines instead."""
    nic: str = "mlx5_{}"


class _Builder:
    """Puts devices in place and counts their ports."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.cables: list[Ends] = []
        self._ports: dict[str, int] = {}

    def switch(self, number: int, name: str) -> str:
        key = f"S-{0x9C05910000000000 + number:016x}"
        self.said[key] = f"MF0;{name}:MQM9700/U1"
        return key

    def adapter(self, number: int, said: str) -> str:
        key = f"H-{0xB83FD20000000000 + number:016x}"
        self.said[key] = said
        return key

    def join(self, one: str, other: str, port: int = 0) -> None:
        """A cable to the next free port of ``other``."""
        self._ports[other] = self._ports.get(other, 0) + 1
        if not port:
            port = self._ports[one] = self._ports.get(one, 40) + 1
        self.cables.append(((one, port), (other, self._ports[other])))


PLAIN = Shape()


def wired(shape: Shape = PLAIN) -> Wired:
    """The fabric; ``rack_of`` names its racks."""
    build = _Builder()
    spines = _spines(shape, build)
    for rack in range(shape.racks):
        for rail in range(shape.rails):
            above = spines[rack * shape.pods // shape.racks, rail if shape.rail_spines else 0]
            _rail(shape, build, rack, rail, above)
    if shape.pods > 1:
        cores = [build.switch(0x20000 + at, f"top-{at}") for at in range(shape.cores)]
        for core in cores:
            for spine in (spine for below in spines.values() for spine in below):
                build.join(spine, core)
    return Wired(build.said, tuple(build.cables))


def _spines(shape: Shape, build: _Builder) -> dict[tuple[int, int], list[str]]:
    """Pod and rail → its spines; without spines of their own all rails are 0."""
    found = {}
    for pod in range(shape.pods):
        for rail in range(shape.rails if shape.rail_spines else 1):
            name = f"sp{pod}-r{rail}" if shape.rail_spines else f"sp{pod}"
            first = 0x10000 + pod * 0x1000 + rail * 0x100
            found[pod, rail] = [build.switch(first + at, f"{name}-{at}") for at in range(shape.spines)]
    return found


def _rail(shape: Shape, build: _Builder, rack: int, rail: int, above: list[str]) -> None:
    hosts = [
        build.adapter(rack * 0x10000 + at * 0x100 + rail, f"{host(rack, at)} {shape.nic.format(rail)}")
        for at in range(shape.hosts)
    ]
    for plane in range(shape.planes):
        leaf = build.switch(rack * 0x100 + rail * 0x10 + plane + 1, _leaf(shape, rack, rail, plane))
        for adapter in hosts:
            build.join(adapter, leaf, plane + 1)
        for spine in above:
            build.join(leaf, spine)


def _leaf(shape: Shape, rack: int, rail: int, plane: int) -> str:
    return f"sw-k{rack}-r{rail}" + (f"-p{plane}" if shape.planes > 1 else "")


def host(rack: int, at: int) -> str:
    return f"node-{rack}-{at:02}"


def rack_of(node: str) -> str:
    return node.split("-")[1]


def text(fabric: Wired) -> str:
    """As ibnetdiscover prints it."""
    ends: dict[str, list[tuple[int, str, int]]] = {key: [] for key in fabric.said}
    for (one, port), (other, far) in fabric.cables:
        ends[one].append((port, other, far))
        ends[other].append((far, one, port))
    blocks = [_block(key, fabric.said, sorted(ends[key])) for key in sorted(fabric.said, reverse=True)]
    return "\n".join(["#", "# Topology file: generated on Mon Nov  2 10:00:00 2026", "#", "", *blocks, ""])


def _block(key: str, said: dict[str, str], ports: Iterable[tuple[int, str, int]]) -> str:
    guid = key[2:]
    is_switch = key.startswith("S")
    lines = ["vendid=0x2c9", "devid=0x1021", f"sysimgguid=0x{guid}"]
    lines += [f"switchguid=0x{guid}({guid})"] if is_switch else [f"caguid=0x{guid}"]
    tail = " enhanced port 0 lid 7 lmc 0" if is_switch else ""
    lines.append(f'{"Switch" if is_switch else "Ca"}\t65 "{key}"\t\t# "{said[key]}"{tail}')
    for port, other, far in ports:
        mine = "" if is_switch else f"({guid})"
        theirs = "" if other.startswith("S") else f"({other[2:]})"
        lid = "" if is_switch else "lid 3 lmc 0 "
        lines.append(f'[{port}]{mine}\t"{other}"[{far}]{theirs}\t\t# {lid}"{said[other]}" lid 9 4xNDR')
    return "\n".join([*lines, ""])
