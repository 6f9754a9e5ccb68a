"use strict";
// The console: this page as a client that subscribes, publishes and requests. It keeps the last
// KEPT messages and of each PREVIEW characters, whatever comes in.

const KEPT = 500, PREVIEW = 4000, PATIENCE = 5000;  // messages, characters, ms
let wire = null, opening = null, block = null, held = false;
let total = 0, waiting = [], scheduled = false;
const subscribed = new Set();  // of {subject, queue, sid, count, shown}; they outlive the connection

// --- the door: what the broker says of its websocket block

document.addEventListener("looked", ({detail: varz}) => {
  const found = varz.websocket ?? {};
  at("desk").hidden = !(at("doorless").hidden = Boolean(found.port));
  const before = block && address();
  block = found;
  if (found.port && (!at("address").value || at("address").value === before)) at("address").value = address();
});
const address = () => `${block.no_tls ? "ws" : "wss"}://${location.hostname}:${block.port}`;

// Browsers do not tell why a WebSocket was not opened; these are the reasons that we can see.
function whyNot(url) {
  const secure = url.startsWith("wss:"), listed = block?.allowed_origins;
  if (block?.same_origin) return "The broker lets in pages of its own origin only (same_origin), and this page has another port.";
  if (listed && !listed.includes(location.origin)) return `The broker does not list ${location.origin} in allowed_origins.`;
  if (!secure && location.protocol === "https:") return "A page that came by https may open wss: only.";
  if (secure) return "No connection. If the certificate is self-signed, open the same address with https: in a tab and accept it first.";
  return "No connection: is the address right, and the port reachable from here?";
}

// --- the connection

function state(text, kind) {
  say("line", text); at("line").className = kind;
  say("plug", wire ? "Disconnect" : "Connect"); at("plug").className = wire ? "" : "main";
}
function ended(text) {
  wire = opening = null;
  state(text ? `Not connected: ${text}` : "Not connected.", text ? "bad" : "soft");
}
function login() {
  const [user, pass, auth_token] = ["user", "password", "token"].map((id) => at(id).value);
  return {...(user && {user, pass}), ...(auth_token && {auth_token})};
}
// The open connection, made now if there is none; null where there will be none, which was said then.
const connected = () => opening ??= new Promise(connect);

function connect(resolve) {
  const url = at("address").value.trim();
  const on = {
    opened(info) {
      for (const each of subscribed) each.sid = wire.subscribe(each.subject, each.queue);
      state(`Connected as client ${info.client_id} of ${info.server_name}.`, "good");
      resolve(wire);
    },
    message: heard,
    error(text) {
      note("error", "error", text);
      if (/^(authori[sz]|authentic|user authentic)/i.test(text)) at("login").open = true;
    },
    closed(text) { ended(text === null ? "" : text || whyNot(url)); resolve(null); },
  };
  try { wire = new Wire(url, login(), PATIENCE, on); } catch {
    queueMicrotask(() => ended("that is no address; it looks like " + address()));
    return resolve(null);
  }
  state("Connecting …", "soft");
}

// --- the forms; what is wrong with a field is said by the browser, at the field

function demand(id, right, text) {
  const field = at(id);
  field.setCustomValidity(right ? "" : text);
  return field.reportValidity();
}
for (const id of ["s-subject", "s-queue", "p-subject"]) at(id).addEventListener("input", () => at(id).setCustomValidity(""));
function form(id, act) { at(id).addEventListener("submit", (event) => { event.preventDefault(); act(event); }); }

form("connect", () => { if (wire) wire.close(); else connected(); });
form("subscribe", async () => {
  const subject = at("s-subject").value.trim(), queue = at("s-queue").value.trim();
  if (!demand("s-subject", isWord(subject), "words between dots, such as orders.new or orders.>")) return;
  if (!demand("s-queue", !queue || isWord(queue), "one word")) return;
  const open = await connected();
  if (!open) return;
  subscribed.add({subject, queue, sid: open.subscribe(subject, queue), count: 0});
  if (at("s-subject").value.trim() === subject) at("s-subject").value = "";  // and not what was typed meanwhile
  chips();
});
form("send", async (event) => {
  const subject = at("p-subject").value.trim(), payload = at("payload").value;
  if (!demand("p-subject", isLiteral(subject), "words between dots, without * and >, such as orders.new")) return;
  const asking = event.submitter?.value === "request", open = await connected();
  if (!open) return;
  const limit = open.info.max_payload, size = new TextEncoder().encode(payload).length;
  if (size > limit) return note("error", "not sent", `${bytes(size)}: the broker takes ${bytes(limit)} at most`, {subject});
  note("sent", asking ? "asked" : "sent", payload, {subject, size});
  if (!asking) return open.publish(subject, payload);
  const began = performance.now();
  try {
    const answer = await open.request(subject, payload, PATIENCE);
    note("got", `answer after ${short(performance.now() - began)} ms`, {...answer, subject});
  } catch (error) { note("error", "no answer", error.message, {subject}); }
});
function chips() {
  at("subscribed").replaceChildren(...Array.from(subscribed, (each) => {
    const away = make("button", {type: "button", textContent: "✕", ariaLabel: `Unsubscribe from ${each.subject}`});
    away.addEventListener("click", () => {
      wire?.unsubscribe(each.sid);
      subscribed.delete(each);
      chips();
    });
    each.shown = make("span", {className: "soft number", textContent: short(each.count)});
    const name = each.queue ? `${each.subject} (${each.queue})` : each.subject;
    return make("li", {}, make("span", {className: "mono", textContent: name}), each.shown, away);
  }));
}

// --- messages

function heard(sid, message) {
  for (const each of subscribed) if (each.sid === sid) each.count += 1;
  note("got", "heard", message);
}
// A payload for people: text where it is text, else its first bytes; never all of a long one.
function preview(data) {
  const start = data.subarray(0, 4 * PREVIEW);
  let text;
  try { text = new TextDecoder("utf-8", {fatal: true}).decode(start, {stream: start.length < data.length}); } catch {
    text = Array.from(data.subarray(0, 256), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return data.length > 256 ? text + " …" : text;
  }
  return clip(text, start.length < data.length);
}
const clip = (text, more) => text.length > PREVIEW || more ? text.slice(0, PREVIEW) + " …" : text;

// Kinds are got, sent and error. What is a message is cut to its preview here and now.
function note(kind, verb, what, {subject = "", size = null} = {}) {
  total += 1;
  const said = typeof what === "string" ? {subject, headers: "", reply: "", text: clip(what), size}
    : {...what, text: preview(what.data), size: what.data.length, data: null, headers: clip(what.headers)};
  waiting.push({kind, verb, when: new Date(), ...said});
  if (waiting.length > KEPT) waiting.shift();
  if (!scheduled && !held) { scheduled = true; requestAnimationFrame(flush); }
}
function flush() {
  scheduled = false;
  if (held) return;
  at("log").prepend(...waiting.map(entry).reverse());
  waiting = [];
  while (at("log").childElementCount > KEPT) at("log").lastElementChild.remove();
  for (const each of subscribed) each.shown.textContent = short(each.count);
  tally();
}
function tally() {
  at("silence").hidden = total > 0;
  say("counted", total > KEPT ? `the last ${KEPT} of ${short(total)}` : total ? String(total) : "");
}
function entry(one) {
  const time = one.when.toTimeString().slice(0, 8) + "." + String(one.when.getMilliseconds()).padStart(3, "0");
  const about = [make("span", {className: "kind", textContent: one.verb}), make("b", {textContent: one.subject}),
    make("span", {className: "number", textContent: time})];
  if (one.size !== null) about.push(make("span", {textContent: bytes(one.size)}));
  if (one.reply) about.push(make("span", {textContent: `reply to ${one.reply}`}));
  const parts = [make("div", {className: "about"}, ...about)];
  if (one.headers) parts.push(make("pre", {className: "soft", textContent: one.headers.replace(/^NATS\/1\.0\s*/, "")}));
  if (one.text) parts.push(make("pre", {textContent: one.text}));
  return make("li", {className: one.kind}, ...parts);
}
at("hold").addEventListener("click", () => {
  held = !held;
  at("hold").setAttribute("aria-pressed", held);
  say("hold", held ? "Go on" : "Hold");
  flush();
});
at("clear").addEventListener("click", () => { total = 0; waiting = []; at("log").replaceChildren(); tally(); });

// --- begin

show(location.hash.slice(1));
run();
