"use strict";
// A NATS client in a page's worth of lines: one connection over one WebSocket. It knows nothing of
// the page. What it hears goes to `on`: opened(info), message(sid, {subject, reply, headers, data}),
// error(text), closed(text): null where `close` was called, empty where nobody knows why.

const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const random = (size) => Array.from(crypto.getRandomValues(new Uint8Array(size)), (n) => LETTERS[n % 62]).join("");

// A subject or queue group goes into a line of the protocol: white space would end it.
const isWord = (text) => /^[^\s\0]+$/.test(text) && text.split(".").every(Boolean);
const isLiteral = (subject) => isWord(subject) && !subject.split(".").some((word) => word === "*" || word === ">");

class Wire {
  constructor(url, login, patience, on) {
    this.on = on;
    this.login = login;
    this.open = this.over = this.listening = false;
    this.complaint = "";            // -ERR, if it was the last word
    this.sids = 1;                  // 1 is where replies come in
    this.inbox = `_INBOX.${random(22)}`;
    this.asked = new Map();         // the end of a reply subject, and who waits for it
    this.parts = []; this.have = this.need = 0;  // bytes that are not yet a whole operation
    if (!/^wss?:\/\//.test(url)) throw new SyntaxError("no address of a WebSocket");
    this.socket = new WebSocket(url);  // throws, too, for what is none
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.feed(new Uint8Array(event.data));
    this.socket.onclose = (event) => this.end(this.complaint || event.reason || (this.open ? "the connection ended" : ""));
    setTimeout(() => { if (!this.open) this.close("no NATS server answers there"); }, patience);
  }

  subscribe(subject, queue) {
    const sid = ++this.sids;
    this.send(`SUB ${subject}${queue ? " " + queue : ""} ${sid}\r\n`);
    return sid;
  }
  unsubscribe(sid) { this.send(`UNSUB ${sid}\r\n`); }
  publish(subject, payload, reply = "") {
    const data = new TextEncoder().encode(payload);
    const line = new TextEncoder().encode(`PUB ${subject}${reply ? " " + reply : ""} ${data.length}\r\n`);
    const whole = new Uint8Array(line.length + data.length + 2);
    whole.set(line); whole.set(data, line.length); whole.set([13, 10], whole.length - 2);
    this.send(whole);
    return data.length;
  }
  // The answer's message; an Error where nobody listens, or none comes within so many milliseconds.
  request(subject, payload, patience) {
    if (!this.listening) this.send(`SUB ${this.inbox}.* 1\r\n`);
    this.listening = true;
    const token = random(8);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.settle(token, null, "no answer in time"), patience);
      this.asked.set(token, {resolve, reject, timer});
      this.publish(subject, payload, `${this.inbox}.${token}`);
    });
  }
  settle(token, message, trouble) {
    const waiting = this.asked.get(token);
    if (!waiting) return;
    this.asked.delete(token);
    clearTimeout(waiting.timer);
    if (trouble) waiting.reject(new Error(trouble)); else waiting.resolve(message);
  }
  send(data) { this.socket.send(typeof data === "string" ? new TextEncoder().encode(data) : data); }
  close(why = null) { this.socket.close(1000); this.end(why); }
  end(text) {
    if (this.over) return;
    this.over = true;
    for (const token of [...this.asked.keys()]) this.settle(token, null, "the connection ended");
    this.on.closed(text);
  }

  // --- what comes in, cut wherever it was cut

  feed(data) {
    this.parts.push(data);
    this.have += data.length;
    if (this.over || this.have < this.need) return;  // a large payload is put together once, not for each part
    const all = this.parts.length === 1 ? data : new Uint8Array(this.have);
    if (all !== data) { let to = 0; for (const part of this.parts) { all.set(part, to); to += part.length; } }
    let from = 0;
    this.need = 0;
    for (let end; (end = all.indexOf(10, from)) >= 0;) {
      const words = new TextDecoder().decode(all.subarray(from, end)).trim();
      const size = Number(/^H?MSG .* (\d+)$/i.exec(words)?.[1] ?? -1);
      if (size >= 0 && end + 1 + size + 2 > all.length) { this.need = end + 1 + size + 2 - from; break; }
      this.operation(words, size < 0 ? null : all.subarray(end + 1, end + 1 + size));
      from = end + 1 + (size < 0 ? 0 : size + 2);
    }
    this.parts = from < all.length ? [all.slice(from)] : [];
    this.have = all.length - from;
  }
  operation(words, payload) {
    const space = words.search(/\s|$/), verb = words.slice(0, space).toUpperCase(), rest = words.slice(space).trim();
    this.complaint = verb === "-ERR" ? rest.replace(/^'|'$/g, "") : "";
    if (verb === "PING") this.send("PONG\r\n");
    else if (payload) this.message(rest.split(/\s+/), payload, verb === "HMSG");
    else if (verb === "INFO") this.greet(JSON.parse(rest));
    else if (verb === "PONG") { if (!this.open) { this.open = true; this.on.opened(this.info); } }
    else if (verb === "-ERR") this.on.error(this.complaint);
  }
  greet(info) {
    const first = !this.info;
    this.info = info;  // a later one tells of lame duck mode, and of limits
    if (!first) return;
    const options = {verbose: false, pedantic: false, echo: true, headers: true, no_responders: true,
      protocol: 1, lang: "javascript", version: "", name: "dashboard console", ...this.login};
    this.send(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
  }
  message(words, payload, headed) {
    const size = headed ? Number(words[words.length - 2]) : 0, sid = Number(words[1]);
    const reply = words.length > (headed ? 4 : 3) ? words[2] : "";
    const headers = headed ? new TextDecoder().decode(payload.subarray(0, size)).trim() : "";
    const message = {subject: words[0], reply, headers, data: payload.slice(size)};
    if (sid !== 1) return this.on.message(sid, message);
    const token = message.subject.slice(this.inbox.length + 1);
    const nobody = /^NATS\/1\.0 503/.test(headers) && !message.data.length;
    this.settle(token, message, nobody ? "nobody listens there" : "");
  }
}
