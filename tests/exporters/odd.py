"""Clusters with odd names, for exports: what somebody may well have, and what nobody should."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from nvtopo.cluster.claims import Claim, Tier
from nvtopo.exporters.schedulers.kinds import Export
from tests.cluster import machines
from tests.exporters.clusters import export

LONG: Final = 64 * "a"
_TIERS: Final[tuple[Tier, ...]] = ("leaf", "spine")
_SHARED: Final[tuple[tuple[Tier, str], ...]] = (("nvlinkDomain", "d"), ("leaf", "l"))


def _placed(tiers: Mapping[str, tuple[str, ...]], *, trays: bool = False) -> Export:
    """Node → its leaf, and its spine if there is one."""
    claims = [
        Claim(node, tier, domain, "file")
        for node, domains in tiers.items()
        for tier, domain in zip(_TIERS, domains, strict=False)
    ]
    nodes = {node: machines.tray(1, number) for number, node in enumerate(tiers)} if trays else {}
    return export(nodes, claims)


def _two_racks() -> Export:
    names = ("n1", "n2")
    claims = [Claim(name, tier, domain, "file") for name in names for tier, domain in _SHARED]
    return export({}, [*claims, Claim("n1", "rack", "r1", "file"), Claim("n2", "rack", "r2", "file")])


def _facts(*names: str) -> Export:
    return export({name: machines.tray(1, number) for number, name in enumerate(names)}, [])


ODD: Final[Mapping[str, Callable[[], Export]]] = {
    "prefixes": partial(
        _placed,
        {"gpu": ("l",), "gpu1": ("l",), "gpu10": ("l1",), "gpu100": ("l1",), "gpu-1": ("l10",), "gpu-10": ("l10",)},
        trays=True,
    ),
    "node named as its block": partial(
        _placed, {"leaf-a": ("a", "leaf-a"), "leaf-b": ("a", "leaf-a"), "b": ("b", "a")}
    ),
    "domain over two racks": _two_racks,
    "unpadded": partial(
        _placed, {f"n{node}": (f"leaf{leaf}",) for node, leaf in ((1, 2), (2, 10), (10, 1), (20, 100))}
    ),
    "long": partial(_placed, {f"{LONG}{number}.example.com": (f"{LONG}-leaf-{number // 2}",) for number in range(4)}),
    "long label": partial(_facts, f"a.{63 * 'b'}"),
    "upper case": partial(_placed, {"N1": ("LEAF",), "n1": ("leaf",), "N2": ("Leaf",)}, trays=True),
    "no names of nodes": partial(
        _placed,
        dict.fromkeys(("n 4", "n,3", "n[1-2]", "n#5", "n\n6", "ALL", "default", "n7", "é"), ("l",)),
        trays=True,
    ),
    "domains of signs": partial(_placed, {"n1": ("a/b:c d",), "n2": ("a b:c/d",), "n3": ("...",), "n4": ("ü",)}),
    "no tiers": partial(export, {}, []),
    "one node": partial(_facts, "solo"),
}
