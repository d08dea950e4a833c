// What each two GPUs of a node talk over, as nvidia-smi topo -m has it.

import { element } from "./element.js";

const MOST = 32; // GPUs

export function matrixOf(pairs) {
  if (pairs === null) return [element("p", { class: "note" }, "Not known: its object cannot be read, or it said nothing itself.")];
  const order = new Intl.Collator("en", { numeric: true }).compare;
  const names = [...new Set(pairs.flatMap(({ a, b }) => [a, b]))].sort(order).slice(0, MOST);
  if (!names.length) return [element("p", { class: "note" }, "No pair of GPUs.")];
  const between = new Map(pairs.flatMap((pair) => [[`${pair.a} ${pair.b}`, pair], [`${pair.b} ${pair.a}`, pair]]));
  const head = element("tr", {}, element("td", {}), ...names.map((name) => element("th", { scope: "col" }, short(name))));
  const rows = names.map((row) => element("tr", {}, element("th", { scope: "row" }, short(row)), ...names.map((column) => cell(row, column, between))));
  const table = element("table", { "aria-label": "What GPU pairs talk over" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return [element("div", { class: "matrix", tabindex: "0", role: "region", "aria-label": "Matrix of GPU pairs" }, table)];
}

function cell(row, column, between) {
  if (row === column) return element("td", { class: "self" }, "X");
  const pair = between.get(`${row} ${column}`);
  const rate = pair?.bytes_per_second;
  const words = [`${row} - ${column}`, rate ? `${(rate / 1e9).toLocaleString()} GB/s in one direction` : ""].filter(Boolean).join(", ");
  return element("td", { title: words, class: pair?.nvlinks ? "nvlink" : "" }, pair?.link ?? "?");
}

const short = (name) => name.replace(/^GPU(?=\d)/, "");
