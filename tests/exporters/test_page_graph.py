"""The page's own graph, in node: the aggregator's changes give what the aggregator has, whichever they are."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nvtopo
from nvtopo.cluster.events import Event
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.exporters import change_records, document
from nvtopo.exporters.document import GraphDocument
from tests.cluster import machines
from tests.exporters.page_fabric import faulty
from tests.exporters.test_change_records import STEPS

PAGE = Path(nvtopo.__file__).parent / "exporters/page"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")]

#: Follows what each line tells, and answers with all that it has then.
_FOLLOW = """
import { createInterface } from "node:readline";
import { Graph, untouched } from "./graph.js";
let graph;
const tell = {
  new: () => { graph = new Graph(); },
  whole: (whole) => graph.apply(graph.changeTo(whole), untouched()),
  change: (change) => graph.apply(change, untouched()),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, told] = JSON.parse(line);
  let error = null;
  try { tell[kind](told); } catch (raised) { error = raised.message; }
  const { generation, nodes, domains, edges, drift, totals, hasFabric } = graph;
  const [racks, strays, ill] = [graph.racks.members.map(({ id }) => id), graph.strays.members, graph.ill.members];
  const chassis = racks.flatMap((id) => domains[id].chassis);
  const apart = Object.fromEntries(chassis.map((one) => [one, [...graph.apart(one)].sort()]));
  const lists = { racks, strays, ill, apart };
  console.log(JSON.stringify({ generation, nodes, domains, edges, drift, totals, hasFabric, error, ...lists }));
}
"""

Tell = Callable[[str, Any], Any]


@pytest.fixture(name="tell", scope="module")
def _tell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tell]:
    folder = tmp_path_factory.mktemp("page")
    for script in PAGE.glob("*.js"):
        shutil.copy(script, folder)
    (folder / "package.json").write_text('{"type":"module"}', encoding="utf-8")
    (folder / "follow_lines.js").write_text(_FOLLOW, encoding="utf-8")
    with subprocess.Popen(
        ("node", folder / "follow_lines.js"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as follower:
        reads, writes = follower.stdout, follower.stdin
        assert reads is not None
        assert writes is not None

        def tell(kind: str, told: Any) -> Any:
            writes.write(msgspec.json.encode([kind, told]) + b"\n")
            writes.flush()
            return msgspec.json.decode(reads.readline())

        yield tell
        writes.close()


def same(found: Any, whole: GraphDocument) -> None:
    """What the page has is what the aggregator has, in its order where there is one."""
    wanted = msgspec.json.decode(document.encode(whole))
    assert found["error"] is None
    for key in ("generation", "nodes", "domains", "drift"):
        assert found[key] == wanted[key], key
    assert sorted(map(str, found["edges"])) == sorted(map(str, wanted["edges"]))
    nodes, domains = wanted["nodes"], wanted["domains"]
    racks = {key: one for key, one in domains.items() if one["tier"] == "nvlinkDomain"}
    strays = sorted(name for name, node in nodes.items() if "nvlinkDomain" not in node["tiers"])
    health = [word for node in nodes.values() for word in node["health"].values()]
    assert found["racks"] == list(racks)
    assert found["strays"] == strays
    assert found["totals"] == {
        "domains": len(racks),
        "nodes": len(nodes),
        "gpus": sum(node["gpus"] or 0 for node in nodes.values()),
        "ill": sum(word != "ok" for word in health),
        "trouble": sum(bool(node["problems"]) for node in nodes.values()),
    }
    assert found["hasFabric"] == bool(wanted["edges"] or any(node["rails"] for node in nodes.values()))
    assert {one["name"] for one in found["ill"]} == {
        name for name, node in nodes.items() if node["problems"] or {*node["health"].values()} - {"ok"}
    }
    held = {chassis for rack in racks.values() for chassis in rack["chassis"]}
    assert found["apart"] == {
        chassis: [name for name in strays if nodes[name]["position"]["chassis"] == chassis] for chassis in held
    }


@settings(deadline=None)
@given(STEPS)
def test_changes_one_by_one_and_all_at_once_give_the_aggregators_graph(
    tell: Tell, steps: list[tuple[list[Event], dict[str, object]]]
) -> None:
    inventory = Inventory()
    before = build(inventory)
    tell("new", None)
    same(tell("whole", document.of(before)), document.of(before))
    for events, readings in steps:
        inventory = fold_all(inventory, events)
        graph = build(inventory, before, readings)  # type: ignore[arg-type]  # hypothesis knows no more
        same(tell("change", change_records.step(before, graph)), document.of(graph))
        before = graph
    found = faulty()
    other = build(fold_all(Inventory(), []), None, {"network": found.reading})
    same(tell("whole", document.of(other)), document.of(other))
    same(tell("whole", document.of(before)), document.of(before))


def test_the_worst_nodes_come_first(tell: Tell) -> None:
    tell("new", None)
    found = tell("whole", document.of(machines.troubled()))["ill"]
    levels = [one["level"] for one in found]
    assert levels == sorted(levels)
    assert len(set(levels)) > 2


def test_a_change_of_another_generation_is_refused(tell: Tell) -> None:
    first = build(Inventory())
    tell("new", None)
    tell("whole", document.of(first))
    change = msgspec.structs.replace(change_records.step(first, build(Inventory(), first)), previous=7)
    found = tell("change", change)
    assert found["error"] == f"expected a change of generation {first.generation}, got one of 7"


@given(st.sampled_from(["__proto__", "constructor", "toString"]))
@settings(deadline=None)
def test_a_name_is_a_name(tell: Tell, name: str) -> None:
    whole = document.of(machines.graph({name: machines.tray(1, 0), "other": machines.hgx()}))
    tell("new", None)
    same(tell("whole", whole), whole)
    gone = change_records.between(whole, msgspec.structs.replace(whole, nodes={}, domains={}, generation=9))
    assert tell("change", gone)["nodes"] == {}


#: A server that sends one event and no more; the time is the test's.
_SILENCE = """
import { mock } from "node:test";
import { createServer } from "node:http";
mock.timers.enable({ apis: ["setTimeout"] });
globalThis.document = { getElementById: () => ({}) };
const { events } = await import("./events.js");
const server = createServer((asked, answer) => answer.write(`event: reset\\nid: a.1\\ndata: {}\\n\\n`));
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const heard = [];
try {
  for await (const event of events(`http://127.0.0.1:${server.address().port}/`, "", new AbortController())) {
    heard.push(event);
    if (event) mock.timers.tick(44_999);
    if (event) setImmediate(() => mock.timers.tick(1));
  }
} catch (error) {
  console.log(JSON.stringify([heard, error.message]));
}
process.exit();
"""


def test_a_stream_without_a_sign_of_life_is_given_up(tmp_path: Path) -> None:
    for script in PAGE.glob("*.js"):
        shutil.copy(script, tmp_path)
    (tmp_path / "package.json").write_text('{"type":"module"}', encoding="utf-8")
    (tmp_path / "silence.js").write_text(_SILENCE, encoding="utf-8")
    done = subprocess.run(("node", tmp_path / "silence.js"), check=False, capture_output=True, timeout=60)
    assert msgspec.json.decode(done.stdout) == [
        [None, {"event": "reset", "id": "a.1", "data": "{}"}],
        "the aggregator is silent",
    ]
