// One node as a tray: its number, name and GPUs, in words for who hears it.

import { element, gpus, plural, seat } from "./element.js";

export function makeTray(name) {
  const button = element("button", { class: "tray", type: "button", tabindex: "-1" });
  button.dataset.node = name;
  return button;
}

// The same element, so that it keeps the focus.
export function fillTray(button, name, node, alone) {
  const number = seat(node.position.tray);
  button.setAttribute("aria-label", `${number} ${spoken(name, node)}`.trim());
  button.replaceChildren(
    element("span", { class: "number", "aria-hidden": "true" }, number),
    " ", // as the label has it: who speaks to the page says what is seen
    element("span", { class: "name", "aria-hidden": "true" }, name),
    ...(alone ? [element("span", { class: "why" }, why(node))] : []),
    gpus(node),
    element("span", { class: "flag", "aria-hidden": "true" }, node.problems.length ? "!" : ""),
  );
}

export function quietTray(number, words) {
  const row = element("li", { class: "silent", title: `tray ${number}: ${words}` });
  row.append(element("span", { class: "number" }, number), element("span", { class: "words" }, words));
  return row;
}

function why(node) {
  if (node.gpus === null || node.gpus === 0) return counted(node);
  return { SingleNode: "NVSwitch in the node", NotApplicable: "no fabric" }[node.fabric] ?? String(node.fabric).toLowerCase();
}

function counted(node) {
  if (node.gpus === null) return node.problems.length ? "not readable" : "named by other sources only";
  return node.gpus === 0 ? "no NVIDIA GPU" : plural(node.gpus, "GPU"); // other makers' GPUs are not in the graph
}

function spoken(name, node) {
  const ill = Object.entries(node.health).filter(([, word]) => word !== "ok").map(([gpu, word]) => `${gpu} ${word}`);
  const where = node.position.tray === null ? "" : `, tray ${node.position.tray}`;
  const state = ill.length ? ill.join(", ") : node.gpus ? "all ok" : "";
  return [`${name}${where}`, counted(node), state, node.problems.length ? plural(node.problems.length, "problem") : ""].filter(Boolean).join(", ");
}
