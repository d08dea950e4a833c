// Elements from data. Strings become text nodes; health words outside the known ones are shown as unknown.

const HEALTHS = new Set(["ok", "degraded", "registering", "fault", "unknown", "stale"]);

export function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function square(health) {
  const made = element("i", { class: "gpu" });
  made.dataset.health = HEALTHS.has(health) ? health : "unknown";
  return made;
}

export function gpus(node) {
  return element("span", { class: "gpus", "aria-hidden": "true" }, ...Object.values(node.health).map(square));
}

export const plural = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;

export const seat = (number) => (number === null ? "" : String(number).padStart(2, "0"));
