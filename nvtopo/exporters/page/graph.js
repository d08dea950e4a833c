// The graph as /v1/graph/watch tells it: once the whole, then what changed. What one change costs is as much as it names.

import { order, orderOfLists, Sorted } from "./sorted.js";

export const TIER = "nvlinkDomain";

// Names come from other machines: "__proto__" may be one.
const table = () => Object.create(null);

// From bad to less bad; what is not listed is not known.
const LEVELS = ["fault", "degraded", "unknown", "stale", "registering", "ok"];

export class Graph {
  generation = null;
  cluster = null; // what the operator calls it
  nodes = table(); // by name
  domains = table(); // by ID
  totals = { domains: 0, nodes: 0, gpus: 0, ill: 0, trouble: 0 };
  racks = new Sorted((a, b) => order(a.name, b.name) || order(a.id, b.id));
  strays = new Sorted(order); // names of nodes without an NVLink domain
  ill = new Sorted((a, b) => a.level - b.level || order(a.name, b.name)); // nodes to look at, the worst first
  #edges = new Map();
  #cabled = 0; // nodes of which a source knows cables
  #drift = new Sorted((one, other) => orderOfFindings(placeOf(one), placeOf(other)));
  #racksOf = new Map(); // chassis → IDs of racks
  #straysOf = new Map(); // chassis → names of nodes without an NVLink domain

  get edges() {
    return [...this.#edges.values()];
  }

  get drift() {
    return this.#drift.members;
  }

  get hasFabric() {
    return this.#edges.size > 0 || this.#cabled > 0;
  }

  // Names of nodes in no domain of which a chassis of this rack holds the trays.
  apart(chassis) {
    return this.#straysOf.get(chassis) ?? [];
  }

  // The change that makes another whole graph of this one.
  changeTo(whole) {
    const edges = new Map(whole.edges.map((edge) => [JSON.stringify(edge), edge]));
    const drift = new Map(whole.drift.map((one) => [JSON.stringify(one), one]));
    const known = new Map(this.drift.map((one) => [JSON.stringify(one), one]));
    return {
      generation: whole.generation,
      previous: this.generation,
      nodes: differing(this.nodes, whole.nodes),
      domains: differing(this.domains, whole.domains),
      edges: { added: without(edges, this.#edges), removed: without(this.#edges, edges) },
      drift: { added: without(drift, known), removed: without(known, drift) },
    };
  }

  // Notes in `touched` what has to be drawn again.
  apply(change, touched) {
    if (change.previous !== this.generation) throw new Error(`expected a change of generation ${this.generation}, got one of ${change.previous}`);
    this.generation = change.generation;
    for (const [id, domain] of Object.entries(change.domains)) this.#domain(id, domain, touched);
    for (const [name, node] of Object.entries(change.nodes)) this.#node(name, node, touched);
    for (const edge of change.edges.removed) this.#edges.delete(JSON.stringify(edge));
    for (const edge of change.edges.added) this.#edges.set(JSON.stringify(edge), edge);
    for (const one of change.drift.removed) this.#drift.remove(one);
    for (const one of change.drift.added) this.#drift.add(one);
    const findings = [...change.drift.removed, ...change.drift.added];
    if (findings.length) touched.findings = true;
    if (change.edges.removed.length || change.edges.added.length || findings.some((one) => one.kind === "cabling")) touched.fabric = true;
  }

  #domain(id, domain, touched) {
    const before = this.domains[id];
    if (before?.tier === TIER) {
      this.racks.remove({ name: before.name, id });
      for (const chassis of before.chassis) drop(this.#racksOf, chassis, id);
      this.totals.domains -= 1;
    }
    put(this.domains, id, domain);
    if (domain?.tier === TIER) {
      this.racks.add({ name: domain.name, id });
      for (const chassis of domain.chassis) join(this.#racksOf, chassis, id);
      this.totals.domains += 1;
    }
    if (before?.tier === TIER || domain?.tier === TIER) touched.racks.add(id);
    if (rackName(before) !== rackName(domain)) touched.racksMoved = true;
    touched.fabric = true;
  }

  #node(name, node, touched) {
    const before = this.nodes[name];
    if (before) this.#count(name, before, -1);
    put(this.nodes, name, node);
    if (node) this.#count(name, node, 1);
    touched.nodes.add(name);
    for (const one of [before, node]) this.#touchRacks(one, !alike(before, node, placed), touched);
    if (!alike(before, node, cabled)) touched.fabric = true;
  }

  #touchRacks(node, moved, touched) {
    const id = node?.tiers[TIER];
    if (id !== undefined) (moved ? touched.racks : touched.counts).add(id);
    else if (node && moved) for (const rack of this.#racksOf.get(node.position.chassis) ?? []) touched.racks.add(rack);
  }

  #count(name, node, sign) {
    const words = Object.values(node.health);
    this.totals.nodes += sign;
    this.totals.gpus += sign * (node.gpus ?? 0);
    this.totals.ill += sign * words.filter((word) => word !== "ok").length;
    this.totals.trouble += sign * (node.problems.length ? 1 : 0);
    this.#cabled += sign * (node.rails.length ? 1 : 0);
    const level = levelOf(node, words);
    if (level !== null) this.ill[sign > 0 ? "add" : "remove"]({ name, level });
    if (TIER in node.tiers) return;
    this.strays[sign > 0 ? "add" : "remove"](name);
    if (node.position.chassis !== null) (sign > 0 ? join : drop)(this.#straysOf, node.position.chassis, name);
  }
}

// What has to be drawn again, from one drawing to the next: no more than there is.
export const untouched = () => ({ nodes: new Set(), racks: new Set(), counts: new Set(), racksMoved: false, findings: false, fabric: false });

// How bad it is: lower is worse. Null if nothing is wrong.
function levelOf(node, words) {
  const worst = Math.min(LEVELS.length - 1, ...words.map((word) => (LEVELS.includes(word) ? LEVELS.indexOf(word) : LEVELS.indexOf("unknown"))));
  return worst === LEVELS.length - 1 && !node.problems.length ? null : worst;
}

export const levelName = (level) => LEVELS[level];

const rackName = (domain) => (domain?.tier === TIER ? domain.name : undefined);
const placed = (node) => [node.tiers[TIER], node.position];
const cabled = (node) => [node.tiers, node.rails];
const alike = (one, other, part) => Boolean(one && other) && JSON.stringify(part(one)) === JSON.stringify(part(other));

function placeOf(one) {
  return [one.kind, one.id, one.severity ?? "", one.domain ?? "", one.subject, one.evidence, one.expected, one.remedy, one.nodes];
}

function orderOfFindings(one, other) {
  return orderOfLists(one.at(-1), other.at(-1)) || orderOfLists(one.slice(0, -1), other.slice(0, -1));
}

function differing(before, after) {
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name)).map((name) => [name, null]);
  const other = Object.entries(after).filter(([name, one]) => JSON.stringify(before[name]) !== JSON.stringify(one));
  return Object.assign(table(), Object.fromEntries([...gone, ...other]));
}

const without = (some, others) => [...some].filter(([key]) => !others.has(key)).map(([, one]) => one);

function put(all, key, one) {
  if (one === null) delete all[key]; else all[key] = one;
}

function join(groups, key, member) {
  if (!groups.has(key)) groups.set(key, new Set());
  groups.get(key).add(member);
}

function drop(groups, key, member) {
  groups.get(key)?.delete(member);
  if (!groups.get(key)?.size) groups.delete(key);
}
