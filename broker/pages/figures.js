"use strict";
// The figures: every two seconds the pages beside this one (varz, connz, topicsz, flowz) are asked,
// and only those of the tab that is looked at. Rates are differences of counters by the broker's
// own clock.

const EVERY = 2000, SPAN = 180, ROWS = 25, CROWD = 1000;  // ms, seconds, rows, connections
const LEAST = 0.5;  // seconds between two looks of which a rate is made: shorter ones say little

// --- rates

const COUNTERS = ["in_msgs", "out_msgs", "in_bytes", "out_bytes"];
let last = null, points = [], unit = "msgs";

// The rates of the last point; before there are two looks to compare, of none.
function rates(varz) {
  const now = Date.parse(varz.now) / 1000;
  const all = (value) => Object.fromEntries(COUNTERS.map((name) => [name, value(name)]));
  if (last && last.id !== varz.server_id) { last = null; points = []; }  // another broker
  const span = last ? now - last.now : Infinity;
  if (last && span >= LEAST) {
    const point = {now, ...all((name) => (varz[name] - last[name]) / span)};
    points = [...points, point].filter((each) => now - each.now <= SPAN);
  }
  if (span >= LEAST) last = {id: varz.server_id, now, ...all((name) => varz[name])};
  return points.at(-1) ?? all(() => null);
}

// --- the plot

function nice(number) {
  const base = unit === "bytes" ? 2 ** (10 * Math.floor(Math.log2(Math.max(number, 1)) / 10)) : 1;
  const power = base * 10 ** Math.floor(Math.log10(Math.max(number / base, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number) || 10 * power;
}
const shownAs = (number) => unit === "bytes" ? bytes(number) : short(number);
const across = (i) => 600 * (1 - (last.now - points[i].now) / SPAN);

function draw() {
  const most = nice(Math.max(1, ...points.map((p) => Math.max(p["in_" + unit], p["out_" + unit]))));
  const line = (name) => points.map((p, i) => {
    const gap = !i || p.now - points[i - 1].now > 4 * EVERY / 1000;  // nobody looked meanwhile
    return (gap ? "M" : "L") + across(i).toFixed(1) + " " + (169 - 168 * p[name] / most).toFixed(1);
  }).join("");
  at("p-in").setAttribute("d", line("in_" + unit));
  at("p-out").setAttribute("d", line("out_" + unit));
  const parts = line("in_" + unit).split("M").filter(Boolean);
  at("p-area").setAttribute("d", parts.map((part) => {
    const xs = part.split("L").map((pair) => pair.split(" ")[0]);
    return `M${xs[0]} 169L${part}L${xs.at(-1)} 169Z`;
  }).join(""));
  say("y-top", shownAs(most)); say("y-mid", shownAs(most / 2)); say("x-from", SPAN / 60 + " min ago");
  read(null);
}

// What the legend says: the last point, or the one under the pointer.
function read(event) {
  let i = points.length - 1;
  if (event && i >= 0) {
    const box = at("plot").getBoundingClientRect();
    const wanted = 600 * (event.clientX - box.left) / box.width;
    points.forEach((_, j) => { if (Math.abs(across(j) - wanted) < Math.abs(across(i) - wanted)) i = j; });
    at("cross").setAttribute("x1", across(i)); at("cross").setAttribute("x2", across(i));
  }
  at("cross").setAttribute("visibility", event && i >= 0 ? "visible" : "hidden");
  const point = points[i];
  say("r-in", point ? shownAs(point["in_" + unit]) : "–"); say("r-out", point ? shownAs(point["out_" + unit]) : "–");
  say("r-when", event && point ? ago(last.now - point.now) + " ago" : "");
}
at("plot").addEventListener("pointermove", read);
at("plot").addEventListener("pointerleave", () => read(null));
for (const name of ["msgs", "bytes"]) at("by-" + name).addEventListener("click", () => {
  unit = name;
  for (const each of ["msgs", "bytes"]) at("by-" + each).setAttribute("aria-pressed", each === name);
  if (last) draw();
});

// --- overview

function general(varz) {
  const rate = rates(varz), per = make.bind(null, "small", {});
  document.title = varz.server_name.slice(0, 24) + " · reactor-broker";
  say("server", varz.server_name);
  say("about", `port ${varz.port} · speaks NATS ${varz.version} · up ${varz.uptime}`);
  const tiles = [
    ["connections", [short(varz.connections)], `${short(varz.total_connections)} since the start`],
    ["subscriptions", [short(varz.subscriptions)], "at this moment"],
    ["messages in", [short(rate.in_msgs), per(" /s")], `${bytes(rate.in_bytes)}/s · ${short(varz.in_msgs)} in all`],
    ["messages out", [short(rate.out_msgs), per(" /s")], `${bytes(rate.out_bytes)}/s · ${short(varz.out_msgs)} in all`],
    ["slow consumers", [short(varz.slow_consumers)], varz.slow_consumers ? "cut off so far" : "none cut off so far", varz.slow_consumers > 0],
    ["processor", [short(varz.cpu), per(" %")], `${bytes(varz.mem)} of memory`],
  ];
  at("tiles").replaceChildren(...tiles.map(([title, value, more, bad]) =>
    make("div", {className: bad ? "tile bad" : "tile"}, title, make("b", {}, ...value), more)));
  draw();
}
function topics(page) {
  const most = Math.max(...page.topics.map((t) => t.msgs_per_second), 1e-9);
  say("sampled", page.sampled > 1 ? `estimated from one read in ${page.sampled}` : "");
  fill("topics", "Nothing has been published since you began to look.",
    [["subject", "subject"], ["messages/s", "number"], ["bytes/s", "number wide"]],
    page.topics.filter((t) => t.msgs_per_second >= 0.01).map((t) => [
      {text: t.subject, share: t.msgs_per_second / most}, short(t.msgs_per_second), bytes(t.bytes_per_second)]));
}
const trip = (rtt) => rtt === "0s" ? "–" : rtt.replace(/\d+\.\d+/, (digits) => Number(Number(digits).toPrecision(3)));
const who = (c) => c.name || [c.lang, c.version].filter(Boolean).join(" ") || `${c.ip}:${c.port}`;
function behind(page) {
  fill("behind", "Nobody: everybody has read what it was sent.",
    [["client", "name"], ["waiting for it", "number"]],
    page.connections.filter((c) => c.pending_bytes > 0).map((c) => [`${who(c)} (${c.cid})`, bytes(c.pending_bytes)]));
}
function slow(page) {
  const cut = page.connections.filter((c) => c.reason.startsWith("Slow Consumer"));
  fill("slow", "Nobody so far.",
    [["client", "name"], ["when", "number"], ["sent to it", "number wide"], ["why", "name"]],
    cut.slice(0, 8).map((c) => [`${who(c)} (${c.cid})`, new Date(c.stop).toTimeString().slice(0, 8),
      short(c.out_msgs), c.reason.includes("Deadline") ? "took nothing for too long" : "too much was waiting"]));
}

// The other nodes of the cluster, and the leaves and hubs; nobody is asked who has none.
async function mesh(varz) {
  const name = varz.cluster?.name;
  at("mesh").hidden = !name && !varz.leafnodes;
  if (at("mesh").hidden) return;
  say("mesh-name", name ? `${short(varz.routes)} connected, of cluster ${name}` : "");
  const [routez, leafz] = await Promise.all([ask("./routez"), ask("./leafz")]);
  const row = (name, kind, s) => [name, kind, `${s.ip}:${s.port}`, trip(s.rtt), bytes(s.pending_size ?? 0),
    short(s.subscriptions), short(s.in_msgs), short(s.out_msgs)];
  fill("servers", "No other node is connected.",
    [["server", "name"], ["is", "name"], ["address", "wide"], ["round trip", "number wide"], ["waiting", "number wide"],
     ["wants", "number wide"], ["sent us", "number"], ["got from us", "number"]],
    [...routez.routes.map((s) => row(s.remote_name, "a node", s)),
     ...leafz.leafs.map((s) => row(s.name, s.is_spoke ? "our hub" : "a leaf", s))]);
}

// --- connections

let before = {of: "", at: 0, rows: new Map()}, paces = new Map(), one = 0;  // rows and rates by cid

function connections(page) {
  if (page.server_id !== before.of) before = {of: page.server_id, at: 0, rows: new Map()};
  const now = Date.parse(page.now) / 1000, span = now - before.at, rows = before.rows;
  if (span >= LEAST) {
    const pace = (c) => ["in_msgs", "out_msgs"].map((name) => (c[name] - rows.get(c.cid)[name]) / span);
    paces = new Map(page.connections.filter((c) => rows.has(c.cid)).map((c) => [c.cid, pace(c)]));
    before = {of: page.server_id, at: now, rows: new Map(page.connections.map((c) => [c.cid, c]))};
  }
  const user = (c) => [c.account === "$G" ? "" : c.account, c.authorized_user].filter(Boolean).join("/");
  const users = page.connections.some(user) ? [["user", "name wide"]] : [];
  fill("connections", "Nobody is connected.",
    [["cid", "number wide"], ["client", "name"], ...users, ["address", "wide"], ["subs", "number wide"],
     ["waiting", "number"], ["sent/s", "number"], ["received/s", "number"], ["sent in all", "number wide"], ["received in all", "number wide"],
     ["round trip", "number wide"], ["silent for", "number wide"]],
    page.connections.map((c) => [c.cid, chooser(c), ...users.map(() => user(c)), `${c.ip}:${c.port}`, short(c.subscriptions),
      bytes(c.pending_bytes), ...(paces.get(c.cid) ?? [null, null]).map(short), short(c.in_msgs), short(c.out_msgs),
      trip(c.rtt), c.idle]),
    page.total - page.num_connections);
}
function chooser(c) {
  const button = make("button", {className: "link", type: "button", textContent: who(c), title: "its subscriptions"});
  button.dataset.key = c.cid;
  button.addEventListener("click", () => { one = c.cid; subscriptions().catch(lost); });
  return button;
}
async function subscriptions() {
  at("one").hidden = !one;
  if (!one) return;
  const page = await ask(`./connz?cid=${one}&subs=detail`), [client] = page.connections;
  say("h-one", client ? `${who(client)} (${client.cid}) is subscribed to` : `${one} has gone`);
  const rows = client?.subscriptions_list_detail ?? [];
  fill("subscriptions", "Nothing.", [["subject", "subject"], ["queue group", "subject"], ["messages", "number"]],
    rows.slice(0, 100).map((s) => [s.subject, s.qgroup, short(s.msgs)]), rows.length - 100);
}
at("one-close").addEventListener("click", () => { one = 0; subscriptions(); });

// --- flows

function flows(page) {
  say("table", `${short(page.num_flows)} of at most ${short(page.capacity)} · ${short(page.installed)} made · ` +
    `${short(page.evicted)} gone with a subscription · ${short(page.displaced)} for want of room`);
  fill("flows", "Empty: nothing has been published yet.",
    [["subjects", "subject"], ["account", "wide"], ["copies", "number"], ["of them to queue groups", "number wide"], ["remark", ""]],
    page.flows.map((f) => [f.pattern, f.account, f.copies, f.picks.length || "", f.asks ? "decided for each message" : ""]),
    page.total - page.flows.length);
}
async function accounts() {
  const names = (await ask("./accstatz?unused=1")).account_statz.map((a) => a.acc).sort();
  at("choose").hidden = names.length < 2;
  if (names.length === at("account").options.length) return;
  at("account").replaceChildren(...names.map((name) => make("option", {value: name, textContent: name})));
  at("account").value = "$G";
}
at("trace").addEventListener("submit", async (event) => {
  event.preventDefault();
  const subject = at("subject").value.trim(), box = at("traced");
  if (!subject) return at("subject").focus();
  try {
    const account = at("account").value || "$G";
    const page = await ask(`./trace?subject=${encodeURIComponent(subject)}&acc=${encodeURIComponent(account)}`);
    const row = (queue) => (r) => [`${r.name || "(no name)"} (${r.cid})`, r.subject, queue, r.why];
    const rows = [...page.plain.map(row("")), ...page.picks.flatMap((p) => p.members.map(row(p.queue)))];
    box.replaceChildren(make("div", {id: "got", className: "scroll"}),
      make("ul", {className: "says"}, ...page.explanation.map((text) => make("li", {textContent: text}))));
    fill("got", "Nobody.", [["client", "name"], ["subscription", "subject"], ["queue group", "subject wide"], ["why", "name"]], rows);
  } catch (error) {
    box.replaceChildren(make("p", {className: "bad", textContent: error.message}));
  }
});

// --- asking

class NoAnswer extends Error {}  // the broker is away, or says no; whatever else fails is our mistake

async function ask(target) {
  try {
    const answer = await fetch(target, {cache: "no-store"});
    if (answer.ok) return await answer.json();
    throw new NoAnswer((await answer.text()).trim());
  } catch (error) { throw new NoAnswer(error.message); }
}
let paused = false, turn = 0, seen = -1, answered = Date.now();

const list = () => ask(`./connz?auth=1&limit=${ROWS}&sort=${at("sort").value}`).then(connections);
function jobs(varz, wanted) {
  // Sorting a crowd costs the broker time: then every tenth second must do.
  const crowded = !wanted && varz.connections > CROWD && turn % 5;
  if (tab === "connections") return crowded ? [] : [list(), subscriptions()];
  if (tab === "flows") {
    const account = at("choose").hidden ? "" : `&acc=${encodeURIComponent(at("account").value)}`;
    return [accounts(), ask(`./flowz?limit=${ROWS}${account}`).then(flows)];
  }
  if (tab === "console") return [];
  const all = [ask("./topicsz?limit=12").then(topics), mesh(varz)];
  if (!crowded) all.push(ask("./connz?sort=pending&limit=5").then(behind));
  if (varz.slow_consumers !== seen) {
    all.push(ask("./connz?state=closed&sort=stop&limit=200").then(slow));
    seen = varz.slow_consumers;
  }
  return all;
}
async function look(wanted = false) {
  if (document.hidden || paused && !wanted) return;
  try {
    const varz = await ask("./varz");
    general(varz);
    document.dispatchEvent(new CustomEvent("looked", {detail: varz}));
    await Promise.all(jobs(varz, wanted));
    turn += 1; answered = Date.now();
    at("state").className = "state"; say("said", "live");
  } catch (error) { lost(error); }
  if (paused) halted();
}
function lost(error) {
  if (!(error instanceof NoAnswer)) console.error(error);
  seen = -1;
  at("state").className = "state lost";
  say("said", `no answer for ${ago((Date.now() - answered) / 1000)}`);
}
function halted() { at("state").className = "state paused"; say("said", "paused"); }

at("sort").addEventListener("change", () => list().catch(lost));
at("account").addEventListener("change", () => look(true));
document.addEventListener("visibilitychange", () => look());
document.addEventListener("shown", () => look(true));  // a tab shows something, paused or not
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", paused);
  say("pause", paused ? "Go on" : "Pause");
  if (paused) halted(); else look();
});
async function run() { for (;;) { await new Promise((go) => setTimeout(go, EVERY)); await look(); } }
