"""Reads every case, in process, and says right, wrong or refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from nvtopo.errors import ParseError
from nvtopo.model.derive import Derived, derive
from nvtopo.model.node import NodeTopology
from nvtopo.sources.foreign.recognise import read_foreign
from tests.cases import stated, truth_nccl_xml, truth_topo_m
from tests.cases.expected import EXPECTED

FOLDER: Final = Path(__file__).parents[2] / ".." / "shared" / "cases"
KINDS: Final = (
    "topo_m",
    "nccl_xml",
    "hwloc",
    "sysfs",
    "ib_tools",
    "smi_q",
    "smi_xml",
    "smi_captures",
    "smi_nvlink",
    "machine_dumps",
)
_BESIDE: Final = (".src", ".truth.json")


class Outcome(NamedTuple):
    """What became of one case."""

    kind: str
    name: str
    verdict: str
    """``right``, ``wrong`` or ``refused``; refused is right where the file holds no topology."""
    lines: tuple[str, ...] = ()


def there() -> bool:
    """Whether the cases are on this machine."""
    return FOLDER.is_dir()


def outcomes(wanted: str = "") -> Iterator[Outcome]:
    """Every case whose kind and name hold ``wanted``."""
    for kind in KINDS:
        for path in sorted((FOLDER / kind).glob("*")):
            if path.is_file() and not path.name.endswith(_BESIDE) and wanted in f"{kind}/{path.name}":
                yield _outcome(kind, path)


def _outcome(kind: str, path: Path) -> Outcome:
    content, truth = path.read_bytes(), _truth(path)
    expected = EXPECTED.get(f"{kind}/{path.name}", {})
    refuse = bool(expected.get("refused") or (truth or {}).get("error"))
    try:
        node = read_foreign(content, path.name)
    except ParseError as error:
        return Outcome(kind, path.name, "refused" if refuse else "wrong", () if refuse else (f"refused: {error}",))
    if refuse:
        return Outcome(kind, path.name, "wrong", ("want a refusal, got a node",))
    lines = _differences(kind, node, truth, {**stated.counted(kind, content), **expected})
    return Outcome(kind, path.name, "wrong" if lines else "right", tuple(lines))


def _differences(kind: str, node: NodeTopology, truth: dict[str, Any] | None, expected: dict[str, Any]) -> list[str]:
    derived: Derived = derive(node)
    if truth is None:
        return stated.differences(node, derived, expected)
    if kind == "topo_m":
        return truth_topo_m.differences(node, derived, truth)
    return truth_nccl_xml.differences(node, derived, truth)


def _truth(path: Path) -> dict[str, Any] | None:
    """The truth file, named as the case without its ending."""
    beside = path.with_name(path.name.removesuffix(path.suffix) + ".truth.json")
    return json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None
