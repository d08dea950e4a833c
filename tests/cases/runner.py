"""Reads every case, in process, and says right, wrong or refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from nvtopo.errors import ParseError
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document import derived as document
from nvtopo.sources.foreign.recognise import ForeignHost, read_hosts
from tests.cases import clusters, stated, truth_nccl_xml, truth_topo_m
from tests.cases.expected import EXPECTED
from tests.cases.expected_second import EXPECTED_SECOND

FOLDER: Final = Path(__file__).parents[2] / ".." / "shared" / "cases"
#: Folders of one node's outputs; those of clusters are in ``tests/cases/clusters.py``.
_KINDS: Final = (
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
    "other",
    "not_yet_read",
)
_SECOND: Final = "second"
_BESIDE: Final = (".src", ".truth.json")
_ANSWERS: Final = EXPECTED | EXPECTED_SECOND


class Outcome(NamedTuple):
    """What became of one case."""

    kind: str
    name: str
    verdict: str
    """``right``, ``wrong`` or ``refused``; refused is right where the file holds no topology."""
    lines: tuple[str, ...] = ()


def there(folder: Path = FOLDER) -> bool:
    """Whether the cases are on this machine."""
    return folder.is_dir()


def kinds(folder: Path = FOLDER) -> list[str]:
    """The kinds of cases that a collection has; a collection may hold a second one."""
    of_both = (*_KINDS, *clusters.KINDS)
    known = [*of_both, *(f"{_SECOND}/{kind}" for kind in of_both)]
    return [kind for kind in known if (folder / kind).is_dir()]


def outcomes(wanted: str = "", folder: Path = FOLDER) -> Iterator[Outcome]:
    """Every case whose kind and name hold ``wanted``."""
    for kind in kinds(folder):
        if kind.removeprefix(f"{_SECOND}/") in clusters.KINDS:
            yield from _clusters(kind, folder / kind, wanted)
            continue
        for path in sorted((folder / kind).glob("*")):
            if path.is_file() and not path.name.endswith(_BESIDE) and wanted in f"{kind}/{path.name}":
                yield _outcome(kind, path)


def _clusters(kind: str, folder: Path, wanted: str) -> Iterator[Outcome]:
    for path in clusters.inputs(folder):
        if wanted in f"{kind}/{path.name}":
            found = clusters.judged(path)
            verdict = "wrong" if found.lines else "refused" if found.refused else "right"
            yield Outcome(kind, path.name, verdict, found.lines)


def _outcome(kind: str, path: Path) -> Outcome:
    content, truth = path.read_bytes(), _truth(path)
    expected = _ANSWERS.get(f"{path.parent.name}/{path.name}", {})
    verdict = (truth or {}).get("verdict", {})
    refuse = bool(expected.get("refused") or (truth or {}).get("error") or verdict.get("refuse"))
    try:
        hosts = read_hosts(content, path.name)
    except ParseError as error:
        return _refusal(kind, path.name, str(error), refuse=refuse, says=expected.get("refused"))
    if refuse:
        return Outcome(kind, path.name, "wrong", ("want a refusal, got a node",))
    of_first = {**stated.counted(kind, content), **{key: want for key, want in expected.items() if key != "hosts"}}
    lines = _differences(path.parent.name, hosts[0].node, truth, of_first)
    lines += _host_differences(hosts, expected.get("hosts"))
    return Outcome(kind, path.name, "wrong" if lines else "right", tuple(lines))


def _host_differences(hosts: tuple[ForeignHost, ...], expected: dict[str, bool | None] | None) -> list[str]:
    """Names and readiness of the hosts; one where nothing is expected."""
    found = {host.name: derive(host.node).health.ready for host in hosts}
    if expected is None:
        return [] if len(hosts) == 1 else [f"hosts: want one, got {list(found)}"]
    return [] if list(found.items()) == list(expected.items()) else [f"hosts: want {expected}, got {found}"]


def _refusal(kind: str, name: str, error: str, *, refuse: bool, says: object) -> Outcome:
    """``says`` is what the refusal must name, where that is a text."""
    if not refuse:
        return Outcome(kind, name, "wrong", (f"refused: {error}",))
    if isinstance(says, str) and says not in error:
        return Outcome(kind, name, "wrong", (f"want a refusal that says {says!r}, got {error!r}",))
    return Outcome(kind, name, "refused")


def _differences(kind: str, node: NodeTopology, truth: dict[str, Any] | None, expected: dict[str, Any]) -> list[str]:
    derived = document.of(derive(node))
    lines = stated.differences(node, derived, expected)
    if truth is None:
        return lines
    compare = truth_topo_m.differences if kind == "topo_m" else truth_nccl_xml.differences
    return lines + compare(node, derived, truth)


def _truth(path: Path) -> dict[str, Any] | None:
    """The truth file, named as the case without its ending."""
    beside = path.with_name(path.name.removesuffix(path.suffix) + ".truth.json")
    return json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None
