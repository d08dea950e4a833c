// The panel with one node's facts: at once what the graph says, and for a node that is held what it says itself.

import { ask } from "./ask.js";
import { element, plural, square } from "./element.js";

const known = new Map(); // node name → its document, until the graph changes

export function forget() {
  known.clear();
}

export function facts(panel, name, graph, held) {
  const node = graph.nodes[name];
  panel.dataset.node = name;
  panel.replaceChildren(...(held ? [close()] : []), ...drawn(name, node, graph, known.get(name)));
  if (held && !known.has(name)) load(panel, name, graph);
}

async function load(panel, name, graph) {
  const answer = await ask(`/v1/nodes/${encodeURIComponent(name)}`).catch(() => null);
  if (!answer?.ok) return;
  known.set(name, await answer.json());
  if (panel.dataset.node === name) panel.replaceChildren(...(panel.querySelector(".close") ? [close()] : []), ...drawn(name, graph.nodes[name], graph, known.get(name)));
}

function close() {
  return element("button", { type: "button", class: "close", "aria-label": "Close the facts of this node" }, "×");
}

function* drawn(name, node, graph, own) {
  const domain = node.tiers.nvlinkDomain;
  yield element("h2", {}, name);
  yield element("p", { class: "sub" }, domain === undefined ? "in no NVLink domain" : graph.domains[domain]?.name ?? domain);
  yield table([
    ["fabric", node.fabric],
    ["chassis", node.position.chassis],
    ["slot", node.position.slot],
    ["tray", node.position.tray],
    ["host", node.position.host],
    ["domain", domain],
    ...(own?.spec ? itself(own.spec) : []),
  ]);
  if (node.gpus === null) {
    const why = node.problems.length ? "Its object cannot be read." : "Only other sources name it; no agent of it was heard from.";
    yield element("p", { class: "note" }, why);
  }
  const models = new Map((own?.spec?.gpus ?? []).map((gpu) => [`GPU${gpu.index}`, gpu.name ?? ""]));
  yield element("ul", { class: "list", "aria-label": "GPUs" }, ...Object.entries(node.health).map(([gpu, health]) =>
    element("li", {}, square(health), [gpu, health, models.get(gpu)].filter(Boolean).join(" · "))));
  if (node.problems.length) {
    yield element("ul", { class: "list problems", "aria-label": "Problems" }, ...node.problems.map((problem) =>
      element("li", {}, problem.reason, element("small", {}, `${problem.source} · ${problem.subject}`))));
  }
  yield element("a", { href: `/v1/nodes/${encodeURIComponent(name)}` }, "everything as JSON");
}

function itself(spec) {
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
