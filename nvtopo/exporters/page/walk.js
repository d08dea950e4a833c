// Arrow keys: up and down in a column of trays, left and right to the column beside it, and from the last rack to the
// nodes without one. What is gone to is drawn.

import { drawPlace } from "./racks.js";

const STEPS = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 };

const lone = (tray) => !tray.closest(".rack");

// The tray that a key leads to from a tray; undefined if it leads nowhere.
export function beside(tray, key) {
  const step = STEPS[key];
  if (!step) return undefined;
  if (key === "ArrowUp" || key === "ArrowDown") return along(tray.parentElement, step);
  return lone(tray) ? fromLone(tray, step) : across(tray, step);
}

function fromLone(tray, step) {
  const next = along(tray.parentElement, step);
  return next ?? (step < 0 ? inColumn(columnsOf(seen(document.getElementById("racks").lastElementChild, -1)).at(-1), 0) : undefined);
}

function along(item, step) {
  for (let next = sibling(item, step); next; next = sibling(next, step)) {
    const tray = trayIn(next);
    if (tray) return tray;
  }
  return undefined;
}

function across(tray, step) {
  const [list, card] = [tray.closest("ul"), tray.closest(".rack")];
  const columns = [...card.querySelectorAll("ul")];
  const row = traysIn(list).indexOf(tray);
  const column = columns[columns.indexOf(list) + step] ?? columnsOf(seen(sibling(card, step), step)).at(step < 0 ? -1 : 0);
  const first = step > 0 ? seen(document.getElementById("strays").firstElementChild, 1) : null;
  return column ? inColumn(column, row) : (first && trayIn(first)) ?? undefined;
}

const sibling = (item, step) => (step < 0 ? item.previousElementSibling : item.nextElementSibling);

// This one, or the next one of which something is seen.
function seen(item, step) {
  let found = item;
  while (found && !found.checkVisibility()) found = sibling(found, step);
  return found;
}

const traysIn = (list) => [...list.querySelectorAll(".tray")];

function trayIn(item) {
  if (!item.checkVisibility()) return null;
  if (item.dataset.of !== undefined) drawPlace(item);
  return item.querySelector(".tray");
}

function columnsOf(card) {
  if (card) drawPlace(card);
  return card ? [...card.querySelectorAll("ul")] : [];
}

function inColumn(column, row) {
  return column ? traysIn(column)[Math.min(row, traysIn(column).length - 1)] : undefined;
}
