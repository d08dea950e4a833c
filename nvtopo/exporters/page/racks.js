// The racks with their trays, and the nodes without a rack. What is far from view is a name and its counts; the trays are
// drawn when it comes near, and from then on one by one as they change.

import { element, plural, seat } from "./element.js";
import { isFound, judge } from "./find.js";
import { TIER } from "./graph.js";
import { arrange, whenNear } from "./place.js";
import { fillTray, makeTray, quietTray } from "./tray.js";

const $ = (id) => document.getElementById(id);
const near = whenNear((place) => {
  drawPlace(place);
  keepTabStop();
});
const cards = new Map(); // rack ID → its card
const alone = new Map(); // name of a node without a rack → its list item
const trays = new Map(); // name → its button, once it is drawn
const marked = { held: null, shown: null };

let graph = null;

export const trayOf = (name) => trays.get(name);

export function mark(kind, name) {
  trays.get(marked[kind])?.classList.remove(kind);
  marked[kind] = name;
  trays.get(name)?.classList.add(kind);
}

// All that `touched` names, and no more.
export function drawRacks(of, touched) {
  graph = of;
  for (const id of touched.racks) judgeRack(id);
  for (const name of touched.nodes) judge(name, graph.nodes[name], wordsAround(name));
  for (const id of touched.racks) drawCard(id);
  for (const id of touched.counts) if (!touched.racks.has(id)) drawCounts(id);
  for (const name of touched.nodes) drawNode(name);
  if (touched.racksMoved) {
    const { length } = graph.racks.members;
    document.documentElement.dataset.density = length > 40 ? "packed" : length > 10 ? "dense" : "roomy";
    arrange($("racks"), graph.racks.members.map(({ id }) => cards.get(id)));
  }
  drawStrays(touched);
  keepTabStop();
}

// After something else is sought.
export function drawFound() {
  for (const { id } of graph.racks.members) {
    judgeRack(id);
    drawFoundIn(id);
  }
  for (const name of graph.strays.members) {
    judge(name, graph.nodes[name]);
    alone.get(name).classList.toggle("none", !isFound(name));
  }
  for (const [name, tray] of trays) tray.classList.toggle("faded", !isFound(name));
  keepTabStop();
}

export function firstFound() {
  const racked = graph.racks.members.flatMap(({ id }) => graph.domains[id].nodes);
  return [...racked, ...graph.strays.members].find((name) => graph.nodes[name] && isFound(name));
}

// Draws a node's tray wherever it is, and goes there.
export function reveal(name) {
  const place = cards.get(graph.nodes[name]?.tiers[TIER]) ?? alone.get(name);
  if (!place) return;
  drawPlace(place);
  place.scrollIntoView({ block: "nearest" }); // the tray may have no place before its rack is in view
  trays.get(name)?.scrollIntoView({ block: "nearest" });
}

export function stopAt(tray) {
  for (const other of document.querySelectorAll('.tray[tabindex="0"]')) other.tabIndex = -1;
  if (tray) tray.tabIndex = 0;
}

// One tray is reached by Tab, the others from there by arrow keys.
function keepTabStop() {
  const now = document.querySelector('.tray[tabindex="0"]');
  if (now && (now === document.activeElement || now.checkVisibility())) return;
  stopAt([...document.querySelectorAll(".rack:not(.none) .tray:not(.faded), #strays li:not(.none) .tray")].find((tray) => tray.checkVisibility()) ?? document.querySelector(".tray"));
}

// --- racks ---------------------------------------------------------------------------------------------------------

const membersOf = (rack) => rack.nodes.filter((name) => graph.nodes[name]);

const wordsOf = (id, rack) => `${rack.name} ${id} ${rack.chassis.join(" ")}`;

function wordsAround(name) {
  const id = graph.nodes[name]?.tiers[TIER];
  const rack = graph.domains[id];
  return rack ? wordsOf(id, rack) : "";
}

function judgeRack(id) {
  const rack = graph.domains[id];
  if (rack?.tier !== TIER) return;
  for (const name of membersOf(rack)) judge(name, graph.nodes[name], wordsOf(id, rack));
}

function drawCard(id) {
  const rack = graph.domains[id];
  const known = cards.get(id);
  if (rack?.tier !== TIER) {
    if (!known) return;
    near.unobserve(known);
    known.remove();
    cards.delete(id);
    return;
  }
  const card = known ?? newCard(id);
  const places = columnsOf(rack);
  card.className = places.length > 1 ? "rack wide" : "rack";
  card.setAttribute("aria-label", `${rack.name}, domain ${id}`);
  card.style.setProperty("--rows", Math.max(1, ...places.map((serial) => rowsOf(serial, rack).length)));
  card.querySelector("h3").title = `${rack.name}: ${id}`;
  card.querySelector("bdi").textContent = rack.name;
  drawCounts(id);
  if (card.dataset.drawn) drawTrays(card, rack);
}

function newCard(id) {
  const card = element("article", {}, element("header", {}, element("h3", {}, element("bdi", { dir: "ltr" })), element("p", {})), element("div", { class: "columns" }));
  card.dataset.rack = id;
  cards.set(id, card);
  near.observe(card);
  return card;
}

function drawCounts(id) {
  const rack = graph.domains[id];
  if (!cards.has(id)) return;
  const members = membersOf(rack).map((name) => graph.nodes[name]);
  const trouble = members.filter((node) => node.problems.length).length;
  const summary = [plural(members.reduce((sum, node) => sum + (node.gpus ?? 0), 0), "GPU")];
  if (trouble) summary.push(element("span", { class: "some" }, ` · ${trouble}`, element("span", { class: "words" }, " with problems")));
  cards.get(id).querySelector("p").replaceChildren(...summary);
  drawFoundIn(id);
}

function drawFoundIn(id) {
  cards.get(id).classList.toggle("none", !membersOf(graph.domains[id]).some(isFound));
}

function columnsOf(rack) {
  const members = membersOf(rack);
  return [...rack.chassis, null].filter((serial) => members.some((name) => graph.nodes[name].position.chassis === serial));
}

// What a chassis holds, from its first tray to its last: nodes, nodes that are in no domain, and trays without a node.
function rowsOf(serial, rack) {
  const placed = (names) => [...names].map((name) => ({ tray: graph.nodes[name].position.tray ?? Infinity, name }));
  return [
    ...placed(membersOf(rack).filter((name) => graph.nodes[name].position.chassis === serial)),
    ...rack.silent.filter((gap) => gap.chassis === serial).map((gap) => ({ tray: gap.first, gap })),
    ...placed(serial === null ? [] : graph.apart(serial)).map((one) => ({ ...one, apart: true })),
  ].sort((a, b) => (a.tray === b.tray ? 0 : a.tray - b.tray));
}

// A rack's card or a lone node's item, with its trays.
export function drawPlace(place) {
  if (place.dataset.drawn) return;
  near.unobserve(place);
  place.dataset.drawn = "yes";
  if (place.dataset.rack === undefined) place.append(drawTray(place.dataset.of)); else drawTrays(place, graph.domains[place.dataset.rack]);
}

function drawTrays(card, rack) {
  const focused = document.activeElement;
  const places = columnsOf(rack);
  card.querySelector(".columns").replaceChildren(...places.map((serial) => {
    const list = element("ul", {}, ...rowsOf(serial, rack).map(drawRow));
    const label = places.length > 1 ? [element("p", { class: "chassis" }, serial === null ? "chassis not known" : serial)] : [];
    return element("div", {}, ...label, list);
  }));
  if (focused?.matches(".tray") && focused.isConnected) focused.focus({ preventScroll: true });
}

function drawRow({ name, gap, apart }) {
  if (gap) return quietTray(gap.first === gap.last ? seat(gap.first) : `${seat(gap.first)}–${seat(gap.last)}`, "not heard from");
  if (apart) return quietTray(seat(graph.nodes[name].position.tray), `${name}: in no domain`);
  return element("li", {}, drawTray(name));
}

// --- nodes ---------------------------------------------------------------------------------------------------------

function drawTray(name) {
  const tray = trays.get(name) ?? makeTray(name);
  if (!trays.has(name)) {
    trays.set(name, tray);
    for (const [kind, one] of Object.entries(marked)) tray.classList.toggle(kind, one === name);
  }
  fill(tray, name);
  return tray;
}

function fill(tray, name) {
  fillTray(tray, name, graph.nodes[name], !(TIER in graph.nodes[name].tiers));
  tray.classList.toggle("faded", !isFound(name));
}

function drawNode(name) {
  const tray = trays.get(name);
  if (!tray) return;
  if (!graph.nodes[name]) {
    tray.remove();
    trays.delete(name);
    return;
  }
  fill(tray, name);
  tray.classList.add("changed");
}

document.addEventListener("animationend", (event) => event.target.classList.remove("changed"));

function drawStrays(touched) {
  let moved = false;
  for (const name of touched.nodes) {
    const lone = Boolean(graph.nodes[name]) && !(TIER in graph.nodes[name].tiers);
    if (lone) alone.get(name)?.classList.toggle("none", !isFound(name));
    if (lone === alone.has(name)) continue;
    moved = true;
    if (lone) newStray(name); else dropStray(name);
  }
  if (!moved) return;
  $("outside").hidden = alone.size === 0;
  $("outside-count").textContent = alone.size.toLocaleString();
  arrange($("strays"), graph.strays.members.map((name) => alone.get(name)));
}

function newStray(name) {
  const item = element("li", {});
  item.dataset.of = name;
  item.classList.toggle("none", !isFound(name));
  alone.set(name, item);
  near.observe(item);
}

function dropStray(name) {
  near.unobserve(alone.get(name));
  alone.get(name).remove();
  alone.delete(name);
}
