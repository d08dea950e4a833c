// Every request of the page goes through here. Where the aggregator asks for a bearer token, so does the page; it keeps
// the token in memory alone, as long as the tab is open.

let token = "";

const box = () => document.getElementById("access");

export async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { cache: "no-cache", ...options, headers });
  if (answer.ok) box().hidden = true;
  if (answer.ok || answer.status === 404) return answer;
  if (answer.status === 401) box().hidden = false;
  throw Object.assign(new Error((await answer.json()).error), { status: answer.status });
}

export function onToken(again) {
  document.getElementById("token").addEventListener("change", (event) => {
    token = event.target.value.trim();
    event.target.value = "";
    again();
  });
}
