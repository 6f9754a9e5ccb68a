// What NATS's own JavaScript client does as in a browser, through a WebSocket:
//
//     node --experimental-websocket node_websocket.mjs URL
//
// It prints what it saw, one line of JSON; test_node_websocket.py judges it. It runs as a copy beside the installed
// client, since imports are looked up from where a module lies.

import { wsconnect } from "@nats-io/nats-core";

const client = await wsconnect({ servers: process.argv[2], reconnect: false });

client.subscribe("up", { callback: (_, message) => message.respond(message.string().toUpperCase()) });
const large = "x".repeat(500_000);
const subscription = client.subscribe("class.*", { max: 3 });
for (const text of ["one", "老师", large]) client.publish("class.1", text);
const heard = [];
for await (const message of subscription) heard.push(message.string());
const answer = await client.request("up", "hello", { timeout: 5000 });

console.log(JSON.stringify([heard[0], heard[1], heard[2] === large, answer.string()]));
await client.close();
