// The rack graph: what the aggregator's events name is drawn again, once in a frame, and nothing else.
// Every name comes from another machine: text goes in as text, never as markup.

import { onToken } from "./ask.js";
import { element, square } from "./element.js";
import { chooseNode, fabricChanged } from "./fabric_view.js";
import { facts } from "./facts.js";
import { nothing, seek } from "./find.js";
import { again, follow } from "./follow.js";
import { Graph, levelName, untouched } from "./graph.js";
import { jobs } from "./jobs.js";
import { arrange } from "./place.js";
import { drawFound, drawRacks, firstFound, mark, reveal, stopAt, trayOf } from "./racks.js";
import { beside } from "./walk.js";

const LINK = "#node/";
const MOST_FINDINGS = 200;
const MOST_ILL = 12;
const MOST_LINKS = 8; // of one finding
const FIGURES = {
  domains: ["NVLink domain", "NVLink domains"],
  nodes: ["node", "nodes"],
  gpus: ["GPU", "GPUs"],
  ill: ["GPU not ok", "GPUs not ok"],
  trouble: ["node with problems", "nodes with problems"],
};
const $ = (id) => document.getElementById(id);

const graph = new Graph();
const touched = untouched();
let held = null;
let frame = 0; // the one that will draw
let first = true;

// --- drawing -------------------------------------------------------------------------------------------------

function drawSoon() {
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const now = { ...touched };
  Object.assign(touched, untouched());
  drawRacks(graph, now);
  if (now.fabric || first) fabricChanged(graph);
  if (now.findings) drawFindings();
  drawIll();
  drawFigures();
  write($("nothing"), nothing());
  write($("cluster"), graph.cluster ?? "");
  write(document.querySelector("title"), ["nvtopo", graph.cluster].filter(Boolean).join(" · "));
  write($("generation"), `· generation ${graph.generation}`);
  if (held && !graph.nodes[held]) held = null;
  const shown = $("facts").dataset.node;
  if (shown !== undefined && (now.nodes.has(shown) || now.racks.has(graph.nodes[shown]?.tiers.nvlinkDomain))) show(shown);
  if (first) {
    linked(true);
    jobs();
  }
  first = false;
}

// Nothing is touched that has the same words already.
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function drawFigures() {
  for (const [what, count] of Object.entries(graph.totals)) {
    write($(`count-${what}`), count.toLocaleString());
    write($(`word-${what}`), FIGURES[what][count === 1 ? 0 : 1]);
  }
  $("ill").classList.toggle("some", graph.totals.ill > 0);
  $("trouble").classList.toggle("some", graph.totals.trouble > 0);
  $("empty").hidden = graph.totals.nodes > 0;
  write($("empty"), "No node has been heard from yet.");
}

const linkTo = (name) => element("a", { href: LINK + encodeURIComponent(name) }, name);

// Lists whose lines stay as they are as long as they say the same.
function drawList(list, members, make) {
  const known = new Map([...list.children].map((line) => [line.key, line]));
  arrange(list, members.map((member) => {
    const key = JSON.stringify(member);
    return known.get(key) ?? Object.assign(make(member), { key });
  }));
}

// The reason with the nodes that it names as links, and then the others; at most MOST_LINKS.
function worded({ reason, nodes }) {
  const open = new Set(nodes.slice(0, MOST_LINKS));
  const words = reason.split(/([\s,:;]+)/).map((word) => (open.delete(word) ? linkTo(word) : word));
  return [...words, ...[...open].flatMap((name) => [" ", linkTo(name)])];
}

function drawFindings() {
  const count = graph.drift.length;
  $("drift").hidden = count === 0;
  $("drift-count").textContent = count.toLocaleString();
  drawList($("findings"), graph.drift.slice(0, MOST_FINDINGS), (drift) => element("li", {},
    element("span", { class: "kind" }, drift.kind),
    element("span", {}, ...worded(drift))));
  write($("drift-left"), count > MOST_FINDINGS ? `The first ${MOST_FINDINGS} are shown; nvtopo graph --drift prints all.` : "");
}

// The worst nodes, wherever their racks are.
function drawIll() {
  const nodes = graph.ill.members;
  $("look").hidden = nodes.length === 0;
  drawList($("look-nodes"), nodes.slice(0, MOST_ILL), ({ name, level }) =>
    element("li", {}, levelName(level) === "ok" ? element("span", { class: "flag" }, "!") : square(levelName(level)), linkTo(name)));
  write($("look-left"), nodes.length > MOST_ILL ? `and ${(nodes.length - MOST_ILL).toLocaleString()} more` : "");
}

// --- pointing, focusing, holding ------------------------------------------------------------------------------

function show(name) {
  if (!graph.nodes[name]) return;
  mark("shown", name);
  facts($("facts"), name, graph, name === held);
}

function hold(name) {
  const fresh = held !== name;
  held = name;
  mark("held", name);
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
    if (scrolls) reveal(name);
    hold(name);
  } else {
    $("nothing").textContent = `Nothing found: no node ${name} in the graph.`;
  }
}

function release() {
  const name = held;
  held = null;
  mark("held", null);
  if (!name) return;
  show(name);
  if (location.hash.startsWith(LINK)) history.replaceState(null, "", location.pathname + location.search);
  trayOf(name)?.focus({ preventScroll: true });
}

// --- keys and pointer -----------------------------------------------------------------------------------------

const trayAt = (event) => event.target.closest?.(".tray");

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") release();
  const goal = trayAt(event) && beside(trayAt(event), event.key);
  if (!goal) return;
  event.preventDefault();
  stopAt(goal);
  goal.focus();
});
document.addEventListener("pointerover", (event) => { if (trayAt(event) && !held) show(trayAt(event).dataset.node); });
document.addEventListener("focusin", (event) => { if (trayAt(event) && !held) show(trayAt(event).dataset.node); });
document.addEventListener("click", (event) => {
  if (event.target.closest?.(".close")) return release();
  const name = trayAt(event)?.dataset.node;
  if (name === undefined) return;
  if (held === name) release(); else hold(name);
});
window.addEventListener("hashchange", () => linked(false));
$("look").addEventListener("click", (event) => {
  const name = event.target.closest("a")?.textContent;
  if (name !== undefined && graph.nodes[name]) reveal(name);
});

function find() {
  if (graph.generation === null) return;
  seek($("find").value, $("only-trouble").checked);
  drawFound();
  write($("nothing"), nothing());
}

$("find").addEventListener("input", find);
$("only-trouble").addEventListener("change", find);
$("find").addEventListener("keydown", (event) => {
  const name = event.key === "Enter" && graph.generation !== null ? firstFound() : undefined;
  if (name === undefined) return;
  reveal(name);
  hold(name);
});

// --- following ------------------------------------------------------------------------------------------------

function say(state, text) {
  if ($("state").dataset.state !== state) $("state").dataset.state = state;
  write($("state"), text);
}

onToken(again);
window.addEventListener("online", again);
document.addEventListener("visibilitychange", () => document.hidden || again());
follow(graph, touched, drawSoon, say);
