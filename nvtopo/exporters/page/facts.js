// The panel with one node's facts: at once what the graph says, and for a node that is held what it says itself.

import { ask } from "./ask.js";
import { element, plural, square } from "./element.js";
import { historyOf } from "./history.js";
import { matrixOf } from "./matrix.js";

const PATHS = {
  own: (name) => `/v1/nodes/${encodeURIComponent(name)}`,
  pairs: (name) => `/v1/nodes/${encodeURIComponent(name)}/pairs`,
  history: (name) => `/v1/history?node=${encodeURIComponent(name)}`,
};

const HISTORY_MS = 5000;

let graph = null;
let latest = { name: null, generation: null, parts: {} }; // what was read of the node that is held

export function facts(panel, name, of, held) {
  graph = of;
  panel.dataset.node = name;
  put(panel, name, held);
  if (held) load(panel, name);
}

function put(panel, name, held) {
  const focused = document.activeElement?.matches?.("#facts .close");
  const parts = held && latest.name === name ? latest.parts : {};
  panel.classList.toggle("held", held);
  panel.replaceChildren(...(held ? [close()] : []), ...drawn(name, graph.nodes[name], parts));
  if (focused) panel.querySelector(".close")?.focus({ preventScroll: true });
}

async function load(panel, name) {
  if (latest.name === name && latest.generation === graph.generation) return;
  latest = { name, generation: graph.generation, parts: latest.name === name ? latest.parts : {} };
  const found = await Promise.all(Object.entries(PATHS).map(async ([part, path]) => [part, await read(path(name))]));
  if (latest.name !== name) return;
  latest.parts = Object.fromEntries(found);
  if (holds(panel, name)) put(panel, name, true);
}

const holds = (panel, name) => panel.dataset.node === name && panel.querySelector(".close") && Object.hasOwn(graph.nodes, name);

// A change joins the history after the graph has it, and without a new generation.
async function reread() {
  const panel = document.getElementById("facts");
  const { name } = latest;
  if (document.hidden || name === null || !latest.parts.history || !holds(panel, name)) return;
  const history = await read(PATHS.history(name));
  if (latest.name !== name || JSON.stringify(history) === JSON.stringify(latest.parts.history)) return;
  latest.parts = { ...latest.parts, history };
  if (holds(panel, name)) put(panel, name, true);
}

setInterval(reread, HISTORY_MS);
document.addEventListener("visibilitychange", reread);

async function read(path) {
  try {
    const answer = await ask(path);
    const value = await answer.json();
    return answer.ok ? { value } : { error: value.error };
  } catch (error) {
    return { error: error.message };
  }
}

function section(title, part, draw) {
  if (part === undefined) return [];
  return [element("h3", {}, title), ...("value" in part ? draw(part.value) : [element("p", { class: "note" }, `Can't be read: ${part.error}`)])];
}

function close() {
  return element("button", { type: "button", class: "close", "aria-label": "Close the facts of this node" }, "×");
}

function* drawn(name, node, { own: itself, pairs, history }) {
  const own = itself?.value;
  const domain = node.tiers.nvlinkDomain;
  yield element("h2", {}, name);
  yield element("p", { class: "sub" }, domain === undefined ? "in no NVLink domain" : graph.domains[domain]?.name ?? domain);
  if (node.problems.length) {
    yield element("ul", { class: "list problems", "aria-label": "Problems" }, ...node.problems.map((problem) =>
      element("li", {}, problem.reason, element("small", {}, `${problem.source} · ${problem.subject}`))));
  }
  yield table([
    ["fabric", node.fabric],
    ["chassis", node.position.chassis],
    ["slot", node.position.slot],
    ["tray", node.position.tray],
    ["host", node.position.host],
    ["domain", domain],
    ...Object.entries(node.zones ?? {}).map(([kind, { zone, source }]) => [kind, `${zone} (${source})`]),
    ...(own?.spec ? said(own.spec) : []),
  ]);
  if (node.gpus === null) {
    const why = node.problems.length ? "Its NodeTopology can't be read." : "Only other sources name this node; its agent has not reported.";
    yield element("p", { class: "note" }, why);
  }
  const models = new Map((own?.spec?.gpus ?? []).map((gpu) => [`GPU${gpu.index}`, gpu.name ?? ""]));
  yield element("ul", { class: "list", "aria-label": "GPUs" }, ...Object.entries(node.health).map(([gpu, health]) =>
    element("li", {}, square(health), [gpu, health, models.get(gpu)].filter(Boolean).join(" · "))));
  if (node.rails.length) yield element("ul", { class: "list cables", "aria-label": "Cables" }, ...node.rails.map(cabled));
  yield* section("GPU pairs", pairs, (document) => matrixOf(document.pairs));
  yield* section("History", history, historyOf);
  yield element("a", { href: `/v1/nodes/${encodeURIComponent(name)}` }, "show as JSON");
}

function cabled({ rail, plane, nic, leaf, port, expected }) {
  const place = [rail === null ? "" : `rail ${rail}`, plane === null ? "" : `plane ${plane}`].filter(Boolean).join(" ");
  const line = element("li", {}, `${nic} - ${[leaf, port].filter(Boolean).join(" port ")}`, element("small", {}, expected === null ? place : `should be on ${expected}`));
  line.classList.toggle("wrong", expected !== null);
  return line;
}

function said(spec) {
  const host = spec.host ?? {};
  return [
    ["product", [host.vendor, host.product].filter(Boolean).join(" ")],
    ["driver", host.driverVersion],
    ["kernel", host.kernel],
    ["NICs", spec.nics?.length ? plural(spec.nics.length, "NIC") : null],
  ];
}

function table(rows) {
  const filled = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, ...filled.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, String(value))]));
}
