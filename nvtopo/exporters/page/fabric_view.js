// The fabric of one leaf group as SVG: nodes, leaves and spines from left to right, so that it fits a phone.

import { element, plural } from "./element.js";
import { fabricOf, nameOf, picture } from "./fabric.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const PLACES = [{ x: 4, width: 104 }, { x: 158, width: 90 }, { x: 292, width: 64 }];
const STEP = 24;
const HEIGHT = 20;
const HEAD = 18;
const LETTER = 5.7; // of the font at 9.5 px
const MARKS = { missing: "×", misplaced: "!" };
const $ = (id) => document.getElementById(id);

let graph = null;
let fabric = null; // of the graph when it was drawn
let chosen; // the ID of a group; undefined until somebody chose one
let wanted = null; // the node whose group is to be chosen
let stale = false;
let near = false;
let timer = 0;
let shown = { words: "", picture: "" };

// It is computed as a whole, so only while it is near to what is seen, and for a tenth of the time at most.
export function fabricChanged(of) {
  graph = of;
  stale = true;
  $("fabric").hidden = !graph.hasFabric;
  drawSoon(0);
}

function drawSoon(pause) {
  if (near && stale) timer ||= setTimeout(drawFabric, pause);
}

new IntersectionObserver((entries) => {
  near = entries.at(-1).isIntersecting;
  drawSoon(0);
}, { rootMargin: "2000px 0px" }).observe($("fabric"));

function drawFabric() {
  const began = performance.now();
  stale = false;
  fabric = fabricOf(graph);
  $("fabric").hidden = fabric.groups.length === 0;
  if (fabric.groups.length) drawGroups();
  timer = setTimeout(() => { timer = 0; drawSoon(0); }, 9 * (performance.now() - began));
}

function drawGroups() {
  const ill = fabric.groups.filter((group) => group.findings.length);
  const count = new Set(fabric.groups.flatMap((group) => group.findings)).size;
  $("fabric-count").textContent = `${plural(fabric.groups.length, "group")}${count ? ` · ${plural(count, "cable")} to look at` : ""}`;
  const sorted = [...ill, ...fabric.groups.filter((group) => !group.findings.length)];
  if (!fabric.groups.some((group) => group.id === chosen)) chosen = sorted[0].id;
  chooseWanted();
  const options = sorted.map((group) => {
    const words = [nameOf(graph, group.id), group.nodes.length && plural(group.nodes.length, "node"), group.findings.length && `${group.findings.length} to look at`];
    return [JSON.stringify(group.id), words.filter(Boolean).join(" · ")];
  });
  const words = JSON.stringify(options);
  if (words !== shown.words) $("fabric-group").replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  shown.words = words;
  $("fabric-group").value = JSON.stringify(chosen);
  drawGroup();
}

// The group that a node is in; as soon as it is known.
export function chooseNode(name) {
  wanted = name;
  if (!fabric || stale) return;
  const before = chosen;
  chooseWanted();
  if (chosen === before) return;
  $("fabric-group").value = JSON.stringify(chosen);
  drawGroup();
}

function chooseWanted() {
  const group = wanted === null ? undefined : fabric.groups.find((one) => one.nodes.includes(wanted));
  if (group) chosen = group.id;
  wanted = null;
}

function choose(id) {
  chosen = id;
  drawGroup();
}

function drawGroup() {
  const group = fabric.groups.find((one) => one.id === chosen);
  const { columns, cables } = picture(fabric, group);
  const name = nameOf(fabric.graph, chosen);
  const found = JSON.stringify([name, columns, cables]);
  if (found !== shown.picture) draw(columns, cables, name);
  shown.picture = found;
  const left = columns.filter((column) => column.left).map((column) => `${column.left} more ${column.title}`);
  $("fabric-left").textContent = left.length ? `Not drawn: ${left.join(", ")}.` : "";
  $("fabric-findings").replaceChildren(...group.findings.slice(0, 100).map((finding) => element("li", {}, finding.reason)));
}

function draw(columns, cables, name) {
  const focused = document.activeElement?.closest?.("#fabric-picture a")?.dataset.fabricNode;
  $("fabric-picture").replaceChildren(drawing(columns, cables, name));
  if (focused !== undefined) [...document.querySelectorAll("#fabric-picture a")].find((link) => link.dataset.fabricNode === focused)?.focus({ preventScroll: true });
}

function drawing(columns, cables, name) {
  const rows = Math.max(...columns.map((column) => column.boxes.length), 1);
  const height = HEAD + rows * STEP + 4;
  const places = new Map();
  columns.forEach((column, at) => column.boxes.forEach((box, row) => {
    // A short column stands beside the middle of a long one.
    const y = HEAD + ((row + 0.5) * rows * STEP) / column.boxes.length;
    places.set(box.id, { ...PLACES[at], y });
  }));
  const heads = columns.map((column, at) => svg("text", { class: "head", x: PLACES[at].x, y: 11 }, column.boxes.length ? column.title : ""));
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "group", "aria-label": `Cables of ${name}` },
    ...heads,
    ...cables.map((cable) => line(cable, places.get(cable.from), places.get(cable.to))),
    ...columns.flatMap((column, at) => column.boxes.map((box) => boxed(box, places.get(box.id), ["node", "leaf", "spine"][at]))));
}

function line(cable, one, other) {
  const [left, right] = one.x < other.x ? [one, other] : [other, one];
  const from = left.x + left.width;
  const drawn = svg("g", { class: "cable", "data-state": cable.state },
    svg("path", { d: `M${from} ${left.y}L${right.x} ${right.y}` }),
    svg("title", {}, cable.words));
  const mark = MARKS[cable.state];
  // On the cable, near its left end: most cables cross in the middle.
  if (mark) drawn.append(svg("text", { class: "mark", x: from + (right.x - from) * 0.24, y: left.y + (right.y - left.y) * 0.24 + 4 }, mark));
  return drawn;
}

function boxed(box, place, kind) {
  const made = svg("g", { class: `box ${kind}${box.bad ? " bad" : ""}` },
    svg("rect", { x: place.x, y: place.y - HEIGHT / 2, width: place.width, height: HEIGHT, rx: 4 }),
    ...texts(box, place),
    svg("title", {}, [box.label, box.words].filter(Boolean).join(", ")));
  if (!box.node) return made;
  const link = svg("a", { href: `#node/${encodeURIComponent(box.node)}`, "aria-label": `${box.node}${box.bad ? ", with something to look at" : ""}` }, made);
  link.dataset.fabricNode = box.node;
  return link;
}

function texts(box, place) {
  const room = Math.floor((place.width - 6) / LETTER);
  if (!box.words) return [svg("text", { x: place.x + 4, y: place.y + 3.5 }, cut(box.label, room))];
  return [
    svg("text", { x: place.x + 4, y: place.y - 0.5 }, cut(box.label, room)),
    svg("text", { class: "words", x: place.x + 4, y: place.y + 7.5 }, cut(box.words, room + 3)),
  ];
}

// The end of a name tells it from others.
const cut = (text, room) => (text.length <= room ? text : `…${text.slice(1 - room)}`);

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

$("fabric-group").addEventListener("change", (event) => choose(JSON.parse(event.target.value)));
