// What changed on one node, newest first.

import { element } from "./element.js";

const MOST = 20;

export function historyOf(document) {
  const newest = document.entries.slice(-MOST).reverse();
  const older = document.entries.length - newest.length + document.leftOff;
  if (!newest.length) return [element("p", { class: "note" }, "No changes recorded.")];
  const list = element("ol", { class: "list history", "aria-label": "Changes, newest first" }, ...newest.map((entry) =>
    element("li", {}, element("time", { datetime: entry.at }, entry.at.replace("T", " ")), entry.text)));
  return older ? [list, element("p", { class: "note" }, `${older.toLocaleString()} older: nvtopo history prints all.`)] : [list];
}
