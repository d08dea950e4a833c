// The rack graph, drawn from /v1/graph and again whenever /v1/graph/watch says that it changed.
// Every name comes from another machine: text goes in as text, never as markup.

import { ask, lines, onToken } from "./ask.js";
import { chooseNode, drawFabric } from "./fabric_view.js";
import { facts } from "./facts.js";
import { element, gpus, plural, seat } from "./element.js";

const TIER = "nvlinkDomain";
const RETRY_MS = 5000;
const LINK = "#node/";
const FIGURES = {
  domains: ["NVLink domain", "NVLink domains"],
  nodes: ["node", "nodes"],
  gpus: ["GPU", "GPUs"],
  ill: ["GPU not ok", "GPUs not ok"],
  trouble: ["node with problems", "nodes with problems"],
};
const $ = (id) => document.getElementById(id);

let graph = null;
let trays = new Map(); // node name → { signature, element }
let held = null;
let fetching = false;
let wanted = 0;
let retry = 0;

// --- drawing -------------------------------------------------------------------------------------------------

function draw() {
  const focused = document.activeElement?.dataset?.node;
  const before = trays;
  trays = new Map();
  const racks = Object.entries(graph.domains)
    .filter(([, domain]) => domain.tier === TIER)
    .sort(([a, one], [b, other]) => order(one.name, other.name) || order(a, b));
  document.documentElement.dataset.density = racks.length > 40 ? "packed" : racks.length > 10 ? "dense" : "roomy";
  const strays = Object.entries(graph.nodes).filter(([, node]) => !(TIER in node.tiers));
  const apart = byChassis(strays);
  $("racks").replaceChildren(...racks.map(([id, rack]) => drawRack(id, rack, apart, before)));
  drawStrays(strays, before);
  drawFabric(graph);
  drawFindings();
  drawFigures(racks.length);
  filter();
  const first = document.querySelector(".tray");
  if (first && !document.querySelector('.tray[tabindex="0"]')) first.tabIndex = 0;
  if (focused && trays.has(focused)) trays.get(focused).element.focus({ preventScroll: true });
  if (held && graph.nodes[held]) hold(held); else held = null;
}

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function byChassis(nodes) {
  const found = new Map();
  for (const [name, node] of nodes) {
    const serial = node.position.chassis;
    if (serial !== null) found.set(serial, [...(found.get(serial) ?? []), [name, node]]);
  }
  return found;
}

function drawRack(id, rack, apart, before) {
  const members = rack.nodes.filter((name) => graph.nodes[name]).map((name) => [name, graph.nodes[name]]);
  const count = members.reduce((sum, [, node]) => sum + (node.gpus ?? 0), 0);
  const trouble = members.filter(([, node]) => node.problems.length).length;
  const title = element("h3", { title: `${rack.name}: ${id}` }, element("bdi", { dir: "ltr" }, rack.name));
  const summary = element("p", {}, plural(count, "GPU"));
  if (trouble) summary.append(element("span", { class: "some" }, ` · ${trouble}`, element("span", { class: "words" }, " with problems")));
  const places = [...rack.chassis, null].filter((serial) => members.some(([, node]) => node.position.chassis === serial));
  const columns = places.map((serial) => drawChassis(serial, rack, members, apart, before, places.length > 1));
  const card = element("article", { class: places.length > 1 ? "rack wide" : "rack", "aria-label": `${rack.name}, domain ${id}` });
  card.dataset.search = `${rack.name} ${id} ${rack.chassis.join(" ")}`.toLowerCase();
  card.append(element("header", {}, title, summary), element("div", { class: "columns" }, ...columns));
  return card;
}

function drawChassis(serial, rack, members, apart, before, several) {
  const rows = members
    .filter(([, node]) => node.position.chassis === serial)
    .map(([name, node]) => [node.position.tray ?? Infinity, drawTray(name, node, before)]);
  for (const gap of rack.silent) if (gap.chassis === serial) rows.push([gap.first, drawSilence(gap)]);
  for (const [name, node] of apart.get(serial) ?? []) rows.push([node.position.tray ?? Infinity, drawApart(name, node)]);
  rows.sort(([a], [b]) => (a === b ? 0 : a - b));
  const list = element("ul", {}, ...rows.map(([, row]) => (row.tagName === "LI" ? row : element("li", {}, row))));
  const label = several ? [element("p", { class: "chassis" }, serial === null ? "chassis not known" : serial)] : [];
  return element("div", {}, ...label, list);
}

function drawTray(name, node, before) {
  const signature = JSON.stringify(node);
  const known = before.get(name);
  if (known?.signature === signature) {
    trays.set(name, known);
    return known.element;
  }
  const number = seat(node.position.tray);
  const button = element("button", { class: "tray", type: "button", tabindex: "-1", "aria-label": `${number} ${spoken(name, node)}`.trim() });
  button.dataset.node = name;
  button.dataset.search = `${name} ${node.position.chassis ?? ""}`.toLowerCase();
  button.append(
    element("span", { class: "number", "aria-hidden": "true" }, number),
    " ", // as the label has it: who speaks to the page says what is seen
    element("span", { class: "name", "aria-hidden": "true" }, name),
    gpus(node),
    element("span", { class: "flag", "aria-hidden": "true" }, node.problems.length ? "!" : ""),
  );
  if (known) button.classList.add("changed");
  trays.set(name, { signature, element: button });
  return button;
}

function drawApart(name, node) {
  return drawQuiet(seat(node.position.tray), `${name}: in no domain`);
}

function drawSilence(gap) {
  return drawQuiet(gap.first === gap.last ? seat(gap.first) : `${seat(gap.first)}–${seat(gap.last)}`, "not heard from");
}

function drawQuiet(number, words) {
  const row = element("li", { class: "silent", title: `tray ${number}: ${words}` });
  row.append(element("span", { class: "number" }, number), element("span", { class: "words" }, words));
  return row;
}

function drawStrays(strays, before) {
  $("outside").hidden = strays.length === 0;
  $("outside-count").textContent = strays.length;
  $("strays").replaceChildren(...strays.map(([name, node]) => {
    const tray = drawTray(name, node, before);
    if (!tray.querySelector(".why")) tray.querySelector(".gpus").before(element("span", { class: "why" }, why(node)));
    return element("li", {}, tray);
  }));
}

function why(node) {
  if (node.gpus === null || node.gpus === 0) return counted(node);
  return { SingleNode: "NVSwitch in the node", NotApplicable: "no fabric" }[node.fabric] ?? String(node.fabric).toLowerCase();
}

function counted(node) {
  if (node.gpus === null) return node.problems.length ? "not readable" : "named by other sources only";
  return node.gpus === 0 ? "no NVIDIA GPU" : plural(node.gpus, "GPU"); // other makers' GPUs are not in the graph
}

function drawFindings() {
  $("drift").hidden = graph.drift.length === 0;
  $("drift-count").textContent = graph.drift.length;
  $("findings").replaceChildren(...graph.drift.slice(0, 200).map((drift) => element("li", {},
    element("span", { class: "kind" }, drift.kind),
    element("span", {}, drift.reason, ...drift.nodes.slice(0, 8).flatMap((name) => [" ", element("a", { href: LINK + encodeURIComponent(name) }, name)])))));
  $("drift-left").textContent = graph.drift.length > 200 ? "The first 200 are shown; nvtopo graph --drift prints all." : "";
}

function drawFigures(domains) {
  const nodes = Object.values(graph.nodes);
  const ill = nodes.flatMap((node) => Object.values(node.health)).filter((word) => word !== "ok").length;
  const trouble = nodes.filter((node) => node.problems.length).length;
  const figures = { domains, nodes: nodes.length, gpus: nodes.reduce((sum, node) => sum + (node.gpus ?? 0), 0), ill, trouble };
  for (const [what, count] of Object.entries(figures)) {
    $(`count-${what}`).textContent = count.toLocaleString();
    $(`word-${what}`).textContent = FIGURES[what][count === 1 ? 0 : 1];
  }
  $("ill").classList.toggle("some", ill > 0);
  $("trouble").classList.toggle("some", trouble > 0);
  $("empty").hidden = nodes.length > 0;
  $("empty").textContent = "No node has been heard from yet.";
}

function spoken(name, node) {
  const ill = Object.entries(node.health).filter(([, word]) => word !== "ok").map(([gpu, word]) => `${gpu} ${word}`);
  const where = node.position.tray === null ? "" : `, tray ${node.position.tray}`;
  const count = counted(node);
  const state = ill.length ? ill.join(", ") : node.gpus ? "all ok" : "";
  return [`${name}${where}`, count, state, node.problems.length ? plural(node.problems.length, "problem") : ""].filter(Boolean).join(", ");
}

function filter() {
  const text = $("find").value.trim().toLowerCase();
  const only = $("only-trouble").checked;
  let shown = 0;
  for (const [name, { element: tray }] of trays) {
    const rack = tray.closest(".rack")?.dataset.search ?? "";
    const found = tray.dataset.search.includes(text) || rack.includes(text);
    const fades = !found || (only && !graph.nodes[name].problems.length);
    tray.classList.toggle("faded", fades);
    if (!fades) shown += 1;
  }
  const sought = [text && `"${text}"`, only && "problems"].filter(Boolean).join(" with ");
  $("nothing").textContent = trays.size && !shown ? `Nothing found: no node, rack or chassis for ${sought}.` : "";
}

// --- pointing, focusing, holding ------------------------------------------------------------------------------

function show(name) {
  if (!graph?.nodes[name]) return;
  for (const shown of document.querySelectorAll(".tray.shown")) shown.classList.remove("shown");
  trays.get(name)?.element.classList.add("shown");
  facts($("facts"), name, graph, name === held);
}

function hold(name) {
  const fresh = held !== name;
  held = name;
  for (const tray of document.querySelectorAll(".tray.held")) tray.classList.remove("held");
  trays.get(name)?.element.classList.add("held");
  show(name);
  if (fresh) chooseNode(name);
  const link = LINK + encodeURIComponent(name);
  if (location.hash !== link) history.replaceState(null, "", link);
}

// The node that the address names, if it names one: links to a node are #node/NAME.
function linked(scrolls) {
  if (!location.hash.startsWith(LINK)) return;
  let name;
  try { name = decodeURIComponent(location.hash.slice(LINK.length)); } catch { return; }
  if (graph.nodes[name]) {
    hold(name);
    if (scrolls) trays.get(name)?.element.scrollIntoView({ block: "nearest" });
  } else {
    $("nothing").textContent = `Nothing found: no node ${name} in the graph.`;
  }
}

function walk(from, key) {
  const columns = [...document.querySelectorAll(".columns > div, #strays")].map((column) => [...column.querySelectorAll(".tray")]);
  const column = columns.findIndex((members) => members.includes(from));
  const row = columns[column]?.indexOf(from) ?? -1;
  const next = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
  if (!next || row < 0) return false;
  const members = columns[Math.min(Math.max(column + next[0], 0), columns.length - 1)];
  const to = members[Math.min(Math.max(row + next[1], 0), members.length - 1)];
  for (const tray of document.querySelectorAll('.tray[tabindex="0"]')) tray.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
  return true;
}

const trayOf = (event) => event.target.closest?.(".tray");
document.addEventListener("pointerover", (event) => { if (trayOf(event) && !held) show(trayOf(event).dataset.node); });
document.addEventListener("focusin", (event) => { if (trayOf(event) && !held) show(trayOf(event).dataset.node); });
document.addEventListener("click", (event) => {
  if (event.target.closest?.(".close")) return release();
  const name = trayOf(event)?.dataset.node;
  if (name === undefined) return;
  if (held === name) release(); else hold(name);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") release();
  if (trayOf(event) && walk(trayOf(event), event.key)) event.preventDefault();
});
$("find").addEventListener("input", () => graph && filter());
$("only-trouble").addEventListener("change", () => graph && filter());

function release() {
  const name = held;
  held = null;
  for (const tray of document.querySelectorAll(".tray.held")) tray.classList.remove("held");
  if (!name) return;
  show(name);
  if (location.hash.startsWith(LINK)) history.replaceState(null, "", location.pathname + location.search);
  trays.get(name)?.element.focus({ preventScroll: true });
}

window.addEventListener("hashchange", () => graph && linked(false));

// --- following ------------------------------------------------------------------------------------------------

function say(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

async function load() {
  if (fetching) return;
  fetching = true;
  try {
    do {
      graph = await (await ask("/v1/graph")).json();
      const first = !document.documentElement.dataset.density;
      draw();
      if (first) linked(true);
      say("live", `live · generation ${graph.generation}`);
    } while (graph.generation < wanted);
  } catch (error) {
    say("lost", graph ? `lost · showing generation ${graph.generation}` : String(error.message));
    clearTimeout(retry);
    retry = setTimeout(load, RETRY_MS);
  } finally {
    fetching = false;
  }
}

async function follow() {
  try {
    for await (const line of lines("/v1/graph/watch")) {
      if (!line.startsWith("data: ")) continue;
      wanted = JSON.parse(line.slice("data: ".length)).generation;
      if (graph?.generation === wanted) say("live", `live · generation ${wanted}`); else load();
    }
    throw new Error("the aggregator does not answer");
  } catch (error) {
    say("lost", graph ? `lost · showing generation ${graph.generation}` : String(error.message));
    setTimeout(follow, RETRY_MS);
  }
}

onToken(load);
load();
follow();
