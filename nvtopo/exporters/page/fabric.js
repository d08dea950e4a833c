// The network between the nodes as the graph has it: the switches and cables of each leaf group, and what is wrong
// there. Data in, data out; fabric_view.js draws it.

const MOST_ROWS = 60; // nodes, or racks of nodes, of one picture
const MOST_SWITCHES = 32; // of one column
const ALONE = 24; // up to so many nodes each have a row of their own

const order = new Intl.Collator("en", { numeric: true }).compare;
// Names come from other machines: "constructor" may be one.
export const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);
const NONE = new Map();

export function fabricOf(graph) {
  const cables = cablesOf(graph);
  const levels = levelsOf(graph, cables);
  const homes = homesOf(graph, cables, levels.leaves);
  const groups = new Map();
  const group = (id) => groups.get(id) ?? groups.set(id, { id, nodes: [], leaves: [], findings: [] }).get(id);
  for (const [name, node] of Object.entries(graph.nodes)) if (cables.has(name)) group(node.tiers.leaf ?? "").nodes.push(name);
  for (const leaf of levels.leaves) group(homes.get(leaf) ?? "").leaves.push(leaf);
  const above = { id: null, nodes: [], leaves: [...levels.spines], findings: [] };
  for (const finding of graph.drift.filter((one) => one.kind === "cabling")) {
    const homesOfIt = new Set(finding.nodes.length ? finding.nodes.map((name) => own(graph.nodes, name)?.tiers.leaf ?? "") : about(finding, cables, homes));
    const found = [...homesOfIt].filter((id) => groups.has(id));
    for (const one of found.length ? found.map(group) : [above]) one.findings.push(finding);
  }
  const all = [...groups.values()].sort((a, b) => order(nameOf(graph, a.id), nameOf(graph, b.id)));
  if (levels.cores.size || above.findings.length) all.push(above);
  return { graph, cables, levels, homes, rails: railsOf(graph, homes), groups: all };
}

export function nameOf(graph, id) {
  if (id === null) return "above the leaves";
  return id === "" ? "in no leaf group" : own(graph.domains, id)?.name ?? id;
}

// --- what there is ---------------------------------------------------------------------------------------------

// Name → the other ends of its cables → the cable, each pair of ends once. What is missing stands before what is there,
// and what is in the wrong place before both.
function cablesOf(graph) {
  const cables = new Map();
  const at = (name) => cables.get(name) ?? cables.set(name, new Map()).get(name);
  const put = (a, b, state, words = "") => {
    const known = cables.get(a)?.get(b);
    if (!known) {
      const cable = { a, b, state, words };
      at(a).set(b, cable);
      at(b).set(a, cable);
    } else if (state !== "there" && known.state !== "misplaced") Object.assign(known, { state, words });
  };
  for (const edge of graph.edges) put(edge.a, edge.b, edge.present ? "there" : "missing", edge.present ? "" : `missing, by ${edge.source}`);
  const subjects = new Set(graph.drift.filter((one) => one.id === "cable-misplaced").map((one) => one.subject));
  for (const [name, node] of Object.entries(graph.nodes)) {
    for (const rail of node.rails) {
      put(name, rail.leaf, "there");
      if (rail.expected === null && !subjects.has(`${name} ${rail.nic}`)) continue;
      put(name, rail.leaf, "misplaced", rail.expected === null ? `${rail.nic} is in the wrong place` : `${rail.nic} should be on ${rail.expected}`);
      if (rail.expected !== null && !cables.get(name)?.has(rail.expected)) put(name, rail.expected, "missing", `${rail.nic} should be here`);
    }
  }
  return cables;
}

// Leaves are what nodes are cabled to. What lies above the spines is a core where the graph has that tier, else a leaf
// that no node is on.
function levelsOf(graph, cables) {
  const around = (names) => {
    const found = new Set();
    for (const name of names) for (const other of (cables.get(name) ?? NONE).keys()) if (!Object.hasOwn(graph.nodes, other)) found.add(other);
    return found;
  };
  const nodes = Object.entries(graph.nodes);
  const leaves = new Set(nodes.flatMap(([, node]) => node.rails.flatMap((rail) => [rail.leaf, rail.expected ?? rail.leaf])));
  const beside = around(leaves);
  for (const leaf of around(nodes.filter(([, node]) => !node.rails.length).map(([name]) => name))) if (!beside.has(leaf)) leaves.add(leaf);
  const spines = new Set([...around(leaves)].filter((name) => !leaves.has(name)));
  const beyond = new Set([...around(spines)].filter((name) => !leaves.has(name) && !spines.has(name)));
  const three = Object.values(graph.domains).some((domain) => domain.tier === "core");
  if (!three) for (const name of beyond) leaves.add(name);
  return { leaves, spines, cores: three ? beyond : new Set() };
}

// Leaf → the group of most nodes on it.
function homesOf(graph, cables, leaves) {
  const homes = new Map();
  for (const leaf of leaves) {
    const votes = new Map();
    for (const [name, cable] of cables.get(leaf) ?? NONE) {
      const id = own(graph.nodes, name)?.tiers.leaf;
      if (id !== undefined && cable.state !== "misplaced") votes.set(id, (votes.get(id) ?? 0) + 1);
    }
    const [best] = [...votes].sort(([a, many], [b, more]) => more - many || order(a, b));
    if (best) homes.set(leaf, best[0]);
  }
  return homes;
}

// Leaf → its rail and plane, as the nodes of its group have it.
function railsOf(graph, homes) {
  const found = new Map();
  for (const node of Object.values(graph.nodes)) {
    for (const { rail, plane, leaf } of node.rails) if (rail !== null && homes.get(leaf) === node.tiers.leaf) found.set(leaf, { rail, plane });
  }
  return found;
}

// The groups that a finding without nodes is about: by the cable that it names, or the switch.
function about(finding, cables, homes) {
  const ends = homes.has(finding.subject) ? [finding.subject] : cut(finding.subject).find(([a, b]) => cables.get(a)?.has(b)) ?? [];
  return ends.map((name) => homes.get(name)).filter((id) => id !== undefined);
}

function* pieces(text, mark) {
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) yield [text.slice(0, at), text.slice(at + mark.length)];
}

const cut = (subject) => [...pieces(subject, " - ")];

// --- one picture -----------------------------------------------------------------------------------------------

export function picture(fabric, group) {
  const { cables, levels } = fabric;
  const top = group.id === null;
  const rows = top ? [] : rowsOf(fabric, group);
  const ends = new Map(rows.flatMap((row) => row.nodes.map((name) => [name, row.id])));
  const foreign = [...new Set(group.nodes.flatMap((name) => [...cables.get(name).keys()]))].filter((name) => levels.leaves.has(name) && !group.leaves.includes(name));
  const middle = bounded([...group.leaves, ...foreign], fabric, (name) => boxOf(fabric, name, foreign.includes(name)));
  const above = top ? levels.cores : levels.spines;
  const upper = new Set(middle.boxes.flatMap((box) => [...(cables.get(box.id) ?? NONE).keys()]).filter((name) => above.has(name)));
  const right = bounded([...upper], fabric, (name) => ({ id: name, label: name, words: "" }));
  const shown = new Set([...ends.keys(), ...middle.boxes.map((box) => box.id), ...right.boxes.map((box) => box.id)]);
  return {
    columns: [
      { title: top ? "" : "nodes", boxes: rows.slice(0, MOST_ROWS), left: Math.max(0, rows.length - MOST_ROWS) },
      { title: top ? "spines" : "leaves", ...middle },
      { title: top ? "cores" : "spines", ...right },
    ],
    cables: drawn(fabric, middle.boxes, shown, ends, new Set(rows.slice(0, MOST_ROWS).map((row) => row.id))),
  };
}

// Nodes with something wrong come one by one; of many others those of one rack are one row.
function rowsOf({ graph, cables }, group) {
  const named = new Set(group.findings.flatMap((finding) => finding.nodes));
  const ill = (name) => named.has(name) || someIll(cables.get(name));
  const sorted = [...group.nodes].sort(order);
  const single = (name, bad) => ({ id: name, label: name, nodes: [name], node: name, bad });
  if (sorted.length <= ALONE) return sorted.map((name) => single(name, ill(name)));
  const racks = new Map();
  for (const name of sorted.filter((one) => !ill(one))) {
    const domain = graph.nodes[name].tiers.nvlinkDomain ?? "";
    racks.set(domain, [...(racks.get(domain) ?? []), name]);
  }
  const folded = [...racks].map(([domain, nodes]) => {
    const where = domain === "" ? "" : ` of ${own(graph.domains, domain)?.name ?? domain}`;
    return nodes.length === 1 ? single(nodes[0], false) : { id: `rack ${domain}`, label: `${nodes.length} nodes${where}`, nodes, node: null, bad: false };
  });
  return [...sorted.filter(ill).map((name) => single(name, true)), ...folded];
}

const someIll = (cables) => [...cables.values()].some((cable) => cable.state !== "there");

// Switches that something is wrong with come before what does not fit in.
function bounded(names, fabric, box) {
  const ill = (name) => someIll(fabric.cables.get(name) ?? NONE);
  const kept = names.length <= MOST_SWITCHES ? names : names.map((name) => [name, ill(name)]).sort(([, a], [, b]) => b - a).slice(0, MOST_SWITCHES).map(([name]) => name);
  const place = (name) => fabric.rails.get(name) ?? { rail: Infinity, plane: null };
  const sorted = [...kept].sort((a, b) => (place(a).rail === place(b).rail ? (place(a).plane ?? 0) - (place(b).plane ?? 0) : place(a).rail - place(b).rail) || order(a, b));
  return { boxes: sorted.map(box), left: names.length - kept.length };
}

function boxOf(fabric, name, foreign) {
  const place = fabric.rails.get(name);
  const rail = place ? `rail ${place.rail}${place.plane === null ? "" : ` plane ${place.plane}`}` : "";
  const empty = fabric.levels.leaves.has(name) && !fabric.homes.has(name) ? "no node" : "";
  return { id: name, label: name, words: foreign ? `of ${nameOf(fabric.graph, fabric.homes.get(name) ?? "")}` : rail || empty };
}

function drawn({ cables }, boxes, shown, ends, rows) {
  const found = new Map();
  for (const { id } of boxes) {
    for (const [other, cable] of cables.get(id) ?? NONE) {
      const to = ends.get(other) ?? other;
      if (!shown.has(other) || (ends.has(other) && !rows.has(to))) continue;
      found.set(JSON.stringify([id, to].sort()), { from: to, to: id, state: cable.state, words: `${cable.a} - ${cable.b}${cable.words && `: ${cable.words}`}` });
    }
  }
  return [...found.values()].sort((a, b) => (a.state !== "there") - (b.state !== "there"));
}
