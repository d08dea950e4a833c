// Which nodes are sought: by the text, and by having problems.

const sought = { text: "", only: false };
const found = new Set(); // names of nodes

export function seek(text, only) {
  Object.assign(sought, { text: text.trim().toLowerCase(), only });
}

export const seeking = () => sought.text !== "" || sought.only;

export const isFound = (name) => !seeking() || found.has(name);

// Notes whether a node is sought; `around` is what its rack is called.
export function judge(name, node, around = "") {
  const wanted = node && `${name} ${node.position.chassis ?? ""} ${around}`.toLowerCase().includes(sought.text) && (!sought.only || node.problems.length);
  if (wanted) found.add(name); else found.delete(name);
}

export function nothing() {
  if (!seeking() || found.size) return "";
  const words = [sought.text && `"${sought.text}"`, sought.only && "problems"].filter(Boolean).join(" with ");
  return `Nothing found: no node, rack or chassis for ${words}.`;
}
