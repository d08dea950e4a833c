// Follows the graph: the events are applied to it, and `changed` is called. Who comes again goes on where it was; the
// whole comes again where that is not possible.

import { ask } from "./ask.js";
import { events } from "./events.js";

const RETRY_MS = 5000;

let comeAgain = () => {};
let ending = new AbortController();

// A browser keeps a page that was left for who comes back, with its connection, and has six for all of them.
window.addEventListener("pagehide", () => ending.abort(new Error("the page was left")));
window.addEventListener("pageshow", () => comeAgain());

// At once, if it waits.
export const again = () => comeAgain();

export async function follow(graph, touched, changed, say) {
  let last = "";
  const lost = (error) => say("lost", graph.generation === null ? error.message : `lost · showing generation ${graph.generation}`);
  for (;;) {
    ending = new AbortController();
    try {
      for await (const event of events("/v1/graph/watch", last, ending)) {
        if (graph.generation === null) say("waiting", "waiting for the first graph"); else say("live", "live");
        if (event?.event === "dropped") throw new Error(JSON.parse(event.data).error);
        if (event?.event !== "reset" && event?.event !== "change") continue;
        last = ""; // what can't be applied is followed by the whole
        const told = JSON.parse(event.data);
        if (event.event === "reset") graph.cluster = told.cluster ?? null;
        graph.apply(event.event === "reset" ? graph.changeTo(told) : told, touched);
        last = event.id;
        say("live", "live");
        changed();
      }
      throw new Error("the aggregator does not answer");
    } catch (error) {
      if (error.status === 503) last = await whole(graph, touched, changed) ?? last;
      lost(error);
    }
    await new Promise((done) => { comeAgain = done; setTimeout(done, RETRY_MS); });
  }
}

// Where there are too many that follow, what there is now. The ID of the event that it is after: none.
async function whole(graph, touched, changed) {
  try {
    graph.apply(graph.changeTo(await (await ask("/v1/graph")).json()), touched);
    changed();
    return "";
  } catch {
    return null;
  }
}
