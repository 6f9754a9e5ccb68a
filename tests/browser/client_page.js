// What the page of test_client_page.py does with NATS's own client, and leaves in `said` for the test to read.

import { wsconnect } from "/nats-core.js";

// Subscribe, publish to itself, request from itself.
async function alone(url) {
  const client = await wsconnect({ servers: url, reconnect: false });
  client.subscribe("up", { callback: (_, message) => message.respond(message.string().toUpperCase()) });
  const large = "x".repeat(500_000);
  const subscription = client.subscribe("class.*", { max: 3 });
  for (const text of ["one", "老师", large]) client.publish("class.1", text);
  const heard = [];
  for await (const message of subscription) heard.push(message.string());
  const answer = await client.request("up", "hello", { timeout: 10_000 });
  await client.close();
  return [heard[0], heard[1], heard[2] === large, answer.string()];
}

// Be asked by somebody outside; then ask him, and tell him.
async function together(url) {
  const client = await wsconnect({ servers: url, reconnect: false });
  const questions = client.subscribe("page.question", { max: 1 });
  client.publish("page.ready");
  const heard = [];
  for await (const message of questions) {
    heard.push(message.string(), message.headers.get("from"));
    message.respond("from the page");
  }
  const answer = await client.request("outside.question", "and you?", { timeout: 10_000 });
  heard.push(answer.string());
  client.publish("page.done", "thanks");
  await client.drain();
  return heard;
}

// Only come in, and go.
async function knock(url, login) {
  try {
    const client = await wsconnect({ servers: url, reconnect: false, maxReconnectAttempts: 0, ...login });
    await client.flush();
    await client.close();
    return "in";
  } catch (error) {
    return `out: ${error.name}`;
  }
}

window.does = { alone, together, knock };
