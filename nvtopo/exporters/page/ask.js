// Every request of the page goes through here. Where the aggregator asks for a bearer token, so does the page; it keeps
// the token in memory alone, as long as the tab is open.

let token = "";

const box = () => document.getElementById("access");

export async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { cache: "no-cache", ...options, headers });
  if (answer.ok) box().hidden = true;
  if (answer.ok || answer.status === 404) return answer;
  if (answer.status === 401) box().hidden = false;
  throw new Error((await answer.json()).error);
}

export function onToken(again) {
  document.getElementById("token").addEventListener("change", (event) => {
    token = event.target.value.trim();
    event.target.value = "";
    again();
  });
}

// The lines of a stream of server-sent events: EventSource can't send a token.
export async function* lines(path) {
  const reader = (await ask(path)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    yield* whole;
  }
}
