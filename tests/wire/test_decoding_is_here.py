"""``bytes.decode`` raises on bytes that are no text: outside ``nvtopo.wire`` every call says what becomes of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "nvtopo"
#: Of bytes that we encoded ourselves in the same expression, and by what is no codec.
OURS = {
    "cli/compare.py",
    "exporters/clusters_document.py",
    "exporters/document.py",
    "kube/connection.py",
    "model/changes/compare.py",
    "placement/text.py",
    "reports/predicted.py",
    "reports/replicas.py",
    "reports/simulation.py",
    "runtime/fork_server.py",
    "sinks/document/node.py",
    "sinks/publish/nfd.py",
}
#: ``decode`` of a module of ours.
OWN_FUNCTIONS = {"document", "change_records", "counters"}


def calls(source: str) -> Iterator[int]:
    """Lines with ``….decode(…)`` that do not say how errors are handled."""
    for node in ast.walk(ast.parse(source)) if ".decode(" in source else ():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "decode"):
            continue
        by_name = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if (
            by_name not in OWN_FUNCTIONS
            and len(node.args) < 2
            and not any(key.arg == "errors" for key in node.keywords)
        ):
            yield node.lineno


def test_no_module_decodes_text_that_may_be_none() -> None:
    found = {
        f"{name}:{line}"
        for path in PACKAGE.rglob("*.py")
        if not (name := path.relative_to(PACKAGE).as_posix()).startswith("wire/") and name not in OURS
        for line in calls(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_what_is_allowed_still_needs_it() -> None:
    for name in OURS:
        assert list(calls((PACKAGE / name).read_text(encoding="utf-8"))), name


def test_such_a_call_is_found() -> None:
    assert list(calls("x = answer.decode()\ny = answer.decode('utf-8')\nz = answer.decode('utf-8', 'replace')\n")) == [
        1,
        2,
    ]
