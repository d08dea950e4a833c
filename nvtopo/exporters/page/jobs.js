// One job: its pods, where they are, and what lies between them. Who may not see the names of pods sees no section.

import { ask } from "./ask.js";
import { element, plural, square } from "./element.js";

const LINK = "#job/";
const AGAIN_MS = 10000;
const MOST_PODS = 256;
const HEAT = {
  heat: "slowed by heat", hardware: "slowed by the board or its power supply", hot: "hot", power: "at its power limit", ok: "ok", unknown: "unknown",
};
const $ = (id) => document.getElementById(id);

let listed = ""; // the list that is drawn, as JSON
let shown = ""; // the job that is drawn, likewise

const path = ({ namespace, name }) => `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;

async function read(what) {
  const answer = await ask(what);
  return answer.ok ? answer.json() : null;
}

// The jobs that there are now, and the one that is chosen. Nothing is asked again of an aggregator that shows none.
export async function jobs() {
  let found = null;
  try { found = await read("/v1/jobs"); } catch { /* not allowed, or away: what is drawn stays as it was */ }
  if (found === null) return;
  draw(found);
  setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", jobs, { once: true }) : jobs()), AGAIN_MS);
}

function draw(found) {
  $("jobs").hidden = found.jobs.length === 0;
  const now = JSON.stringify(found);
  if (now !== listed) {
    listed = now;
    $("jobs-count").textContent = (found.jobs.length + found.leftOff).toLocaleString();
    const before = $("job").value;
    $("job").replaceChildren(element("option", { value: "" }, "choose a job"), ...found.jobs.map((one) =>
      element("option", { value: path(one) }, `${one.namespace}/${one.name}: ${plural(one.pods, "pod")} on ${plural(one.nodes, "node")}`)));
    choose(before || (location.hash.startsWith(LINK) ? location.hash.slice(LINK.length) : ""));
  } else {
    look();
  }
}

function choose(wanted) {
  $("job").value = wanted;
  if ($("job").selectedIndex < 0) $("job").value = "";
  look();
}

async function look() {
  const wanted = $("job").value;
  if (!wanted) return put("", []);
  try {
    const found = await read(`/v1/jobs/${wanted}`);
    if ($("job").value !== wanted) return;
    if (found === null) put("", [note("It has no bound pod any more.")]);
    else put(JSON.stringify(found), view(found));
  } catch (error) {
    if ($("job").value === wanted) put("", [note(`Can't be read: ${error.message}`)]);
  }
}

function put(now, children) {
  if (now && now === shown) return;
  shown = now;
  const before = $("job-view").querySelector(".wide")?.scrollLeft ?? 0;
  const held = $("job-view").contains(document.activeElement) ? document.activeElement : null;
  $("job-view").replaceChildren(...children);
  const wide = $("job-view").querySelector(".wide");
  if (wide) wide.scrollLeft = before;
  if (held) [...$("job-view").querySelectorAll("a, .wide")].find((one) => one.outerHTML === held.outerHTML || (one === wide && held.matches(".wide")))?.focus({ preventScroll: true });
}

const note = (text) => element("p", { class: "note" }, text);

function* view(job) {
  const names = Object.keys(job.nodes);
  yield element("p", { class: "sub" }, [
    `${plural(job.pods.length + job.leftOff, "pod")} on ${plural(names.length, "node")}`,
    meeting(job, names),
    job.slowestNic && `slowest NIC: ${job.slowestNic.nic} of ${job.slowestNic.node}, ${gigabits(job.slowestNic.bytesPerSecond)}`,
    job.slowestPair && `slowest pair: ${pair(job.slowestPair)}`,
  ].filter(Boolean).join(" · "));
  if (job.heat) yield* warmth(job.heat);
  const heads = ["Rank", "Pod", "Node", "GPUs", "NVLink groups", "NICs", "Rails", ...(job.heat ? ["Heat", "NVLink use"] : [])];
  yield element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Pods of the job" }, element("table", { class: "job" },
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...job.pods.slice(0, MOST_PODS).map((pod) => row(pod, job)))));
  const left = job.leftOff + Math.max(0, job.pods.length - MOST_PODS);
  if (left) yield note(`${plural(left, "more pod")}: nvtopo pods --job prints them.`);
  yield element("ul", { class: "list", "aria-label": "Tiers of the job" }, ...job.tiers.map((one) => element("li", {}, `${one.tier}: ${spread(one)}`)));
}

function meeting({ meets, tiers }, names) {
  if (meets === "node") return `all on ${names[0]}`;
  if (meets === null) return "no tier is known in which they meet";
  return `meet in ${meets} ${tiers.find((one) => one.tier === meets).domains[0].name}`;
}

function spread({ domains, unknown }) {
  const known = domains.slice(0, 16).map(({ name, nodes }) => `${name} (${plural(nodes.length, "node")})`);
  if (domains.length > known.length) known.push(`${domains.length - known.length} more`);
  return [...known, ...(unknown.length ? [`unknown of ${plural(unknown.length, "node")}`] : [])].join(", ");
}

// The worst GPUs first, and why some of it is not known.
function* warmth(heat) {
  const bad = heat.worst.length + heat.leftOff;
  yield element("p", { class: "sub" }, `heat known of ${heat.known} of ${plural(heat.gpus, "GPU")}${heat.known || bad ? `, ${bad} hot or held back` : ""}`);
  if (heat.unknown) yield note(`Heat not known: ${heat.unknown}`);
  if (!heat.worst.length) return;
  yield element("ul", { class: "list", id: "job-worst", "aria-label": "Hot and slowed GPUs, worst first" }, ...heat.worst.map((one) =>
    element("li", {}, warm(one.state), ` ${one.node} ${one.gpu} (${one.pod}): ${degrees(one.celsius)}, ${words(one.state)}${one.reasons.length ? ` (${one.reasons.join(", ")})` : ""}`)),
  ...(heat.leftOff ? [element("li", {}, `and ${heat.leftOff} more`)] : []));
}

const words = (state) => HEAT[state] ?? HEAT.unknown;
const degrees = (celsius) => (celsius === null ? "? °C" : `${Math.round(celsius)} °C`);

function warm(state) {
  const made = element("i", { class: "warm", "aria-hidden": "true" });
  made.dataset.heat = state in HEAT ? state : "unknown";
  return made;
}

function* heat(pod) {
  if (!pod.heat) yield "?";
  for (const [gpu, { state, temperature }] of Object.entries(pod.heat ?? {})) {
    const said = state === "ok" ? "" : ` ${words(state)}`;
    const age = temperature ? `${temperature.ageSeconds} s ago` : "not known";
    yield element("span", { class: "warmth", title: age }, warm(state), `${gpu} ${degrees(temperature?.celsius ?? null)}${said}`);
    yield " ";
  }
}

function* use(pod) {
  if (!pod.heat) yield "?";
  for (const [gpu, { sent, received }] of Object.entries(pod.heat ?? {})) {
    yield element("span", { class: "warmth" }, `${gpu} sent ${share(sent)}, received ${share(received)}`);
    yield " ";
  }
}

function share(one) {
  if (!one) return "?";
  return one.share === null ? `${(one.bytesPerSecond / 1e9).toFixed(1)} GB/s` : `${Math.round(one.share * 100)}%`;
}

function row(pod, job) {
  const node = job.nodes[pod.node];
  const gpus = pod.gpus === null ? ["?"] : Object.entries(pod.gpus).flatMap(([gpu, health]) => [square(health), `${gpu} `]);
  const groups = pod.nvlinkGroups === null ? "?" : `${pod.nvlinkGroups}${pod.nvlinkGroupsPossible < pod.nvlinkGroups && pod.nvlinkGroupsPossible !== null ? ` (${pod.nvlinkGroupsPossible} would do)` : ""}`;
  const rails = (node?.rails ?? []).filter(({ nic }) => !pod.nics?.length || pod.nics.includes(nic));
  const cells = [
    [pod.rank ?? ""], [pod.name], [node ? element("a", { href: `#node/${encodeURIComponent(pod.node)}` }, pod.node) : pod.node], gpus,
    [groups], [pod.nics === null ? "?" : pod.nics.join(" ")], [rails.map(({ rail, leaf }) => `${rail ?? "?"}:${leaf}`).join(" ")],
    ...(job.heat ? [[...heat(pod)], [...use(pod)]] : []),
  ];
  return element("tr", {}, ...cells.map((cell) => element("td", {}, ...cell.map((part) => (part instanceof Node ? part : String(part))))));
}

const pair = ({ a, b, link, bytesPerSecond: rate }) => `${a} - ${b} over ${link}${rate === null ? "" : `, ${Math.round(rate / 1e9)} GB/s`}`;
const gigabits = (rate) => `${Number((rate / 1.25e8).toPrecision(4))} Gb/s`;

$("job").addEventListener("change", () => {
  const wanted = $("job").value;
  history.replaceState(null, "", wanted ? LINK + wanted : location.pathname + location.search);
  look();
});
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith(LINK)) choose(location.hash.slice(LINK.length));
});
