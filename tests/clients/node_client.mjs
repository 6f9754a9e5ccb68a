// What NATS's own JavaScript client does on a server, one scenario a run:
//
//     node node_client.mjs SCENARIO PORT
//
// A scenario prints what it saw, one line of JSON each; test_node.py reads the lines and judges them. It runs as a copy
// beside the installed @nats-io/transport-node, since imports are looked up from where a module lies.

import { connect, Empty, headers } from "@nats-io/transport-node";

const [scenario, port] = process.argv.slice(2);
const server = `127.0.0.1:${port}`;

const say = (seen) => console.log(JSON.stringify(seen));
const open = (options = {}) => connect({ servers: server, reconnect: false, ...options });
const failure = (error) => [error.name, error.message];

// The texts of the next `count` messages.
async function texts(subscription, count) {
  const heard = [];
  for await (const message of subscription) {
    heard.push(message.string());
    if (heard.length === count) break;
  }
  return heard;
}

const scenarios = {
  async publish() {
    const [alice, bob] = [await open(), await open()];
    const subscription = bob.subscribe("class.1", { max: 3 });
    await bob.flush();
    for (const text of ["one", "", "老师"]) alice.publish("class.1", text);
    say(await texts(subscription, 3));
    await Promise.all([alice.close(), bob.close()]);
  },

  async wildcards() {
    const client = await open();
    const star = client.subscribe("*.teacher.heartbeat", { max: 2 });
    const rest = client.subscribe("c1.>", { max: 2 });
    for (const subject of ["c1.teacher.heartbeat", "c2.teacher.heartbeat", "c1.student"]) {
      client.publish(subject, subject);
    }
    say(await texts(star, 2));
    say(await texts(rest, 2));
    await client.close();
  },

  async queue() {
    const heard = [];
    const clients = [await open(), await open(), await open()];
    const done = new Promise((resolve) => {
      for (const client of clients) {
        client.subscribe("job", {
          queue: "workers",
          callback: (_, message) => {
            heard.push(Number(message.string()));
            if (heard.length === 200) resolve();
          },
        });
      }
    });
    await Promise.all(clients.map((client) => client.flush()));
    for (let number = 0; number < 200; number++) clients[0].publish("job", `${number}`);
    await done;
    await Promise.all(clients.map((client) => client.flush()));
    say(heard.sort((a, b) => a - b));
    await Promise.all(clients.map((client) => client.close()));
  },

  async request() {
    const [service, client] = [await open(), await open()];
    service.subscribe("shout", {
      callback: (_, message) => message.respond(message.string().toUpperCase()),
    });
    await service.flush();
    const asked = Array.from({ length: 100 }, (_, number) => `hello ${number}`);
    const replies = await Promise.all(asked.map((text) => client.request("shout", text)));
    say(replies.map((reply) => reply.string()));
    const alone = await client.request("shout", "alone", { noMux: true, timeout: 5000 });
    say(alone.string());
    await Promise.all([service.close(), client.close()]);
  },

  async nobody() {
    const client = await open();
    try {
      await client.request("nobody", Empty, { timeout: 5000 });
    } catch (error) {
      say([error.isNoResponders(), error.message]);
    }
    await client.close();
  },

  async headers() {
    const client = await open();
    const subscription = client.subscribe("h", { max: 1 });
    const sent = headers();
    sent.append("Role", "teacher");
    sent.append("Role", "owner");
    client.publish("h", "x", { headers: sent });
    for await (const message of subscription) {
      say([message.headers.values("Role"), message.string()]);
    }
    await client.close();
  },

  async drain() {
    const [alice, bob] = [await open(), await open()];
    let heard = 0;
    bob.subscribe("n", { callback: () => heard++ });
    await bob.flush();
    for (let number = 0; number < 100; number++) alice.publish("n");
    await alice.flush();
    await bob.drain();
    say([heard, bob.isClosed()]);
    await alice.close();
  },

  async payload() {
    const client = await open();
    const largest = client.info.max_payload;
    const subscription = client.subscribe("big", { max: 1 });
    client.publish("big", new Uint8Array(largest).fill(7));
    for await (const message of subscription) {
      say([message.data.length, message.data.every((byte) => byte === 7)]);
    }
    try {
      client.publish("big", new Uint8Array(largest + 1));
      await client.flush();
    } catch (error) {
      say(failure(error));
    }
    await client.close();
  },

  async password() {
    const client = await open({ user: "ann", pass: "secret" });
    await client.flush();
    say("in");
    await client.close();
    try {
      await open({ user: "ann", pass: "wrong" });
    } catch (error) {
      say(failure(error));
    }
  },

  // The test stops the server when it reads "connected", and starts it again when it reads "disconnect".
  async reconnect() {
    const client = await open({ reconnect: true, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
    const subscription = client.subscribe("n", { max: 1 });
    await client.flush();
    say("connected");
    for await (const { type } of client.status()) {
      if (type === "disconnect" || type === "reconnect") say(type);
      if (type === "reconnect") break;
    }
    client.publish("n", "again");
    say(await texts(subscription, 1));
    await client.close();
  },
};

await scenarios[scenario]();
