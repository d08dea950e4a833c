// The aggregator's server-sent events: EventSource can't send a token, and comes again where it was only by itself.

import { ask } from "./ask.js";

// The aggregator sends something every 15 s.
const SILENT_MS = 45_000;

// Each event after the one with the ID `last`, and null for a sign of life; until `ending` is aborted.
export async function* events(path, last, ending) {
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ending.abort(new Error("the aggregator is silent")), SILENT_MS);
  };
  try {
    heard();
    const answer = await ask(path, { signal: ending.signal, ...(last ? { headers: { "Last-Event-ID": last } } : {}) });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    yield null;
    let event = {};
    for await (const line of lines(reader, heard)) {
      const [, field, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
      if (field) event[field] = value;
      if (line !== "") continue;
      yield event.data === undefined ? null : event;
      event = {};
    }
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
}

// A line may be the whole graph, which comes in many pieces.
async function* lines(reader, heard) {
  let pieces = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const [first, ...others] = value.split("\n");
    pieces.push(first);
    for (const other of others) {
      yield pieces.join("");
      pieces = [other];
    }
  }
}
