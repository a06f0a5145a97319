// Run by a test: what a device does with MQTT.js and MQTT 5; says each step on a line.
// node mqtt5.js <url> <host> <device> <token> <file with the authority>
'use strict';
const fs = require('fs');
const mqtt = require('mqtt');

const [url, host, device, token, authority] = process.argv.slice(2);
const own = `devices/${device}/messages`;
const say = (what) => console.log(JSON.stringify(what));
const client = mqtt.connect(url, {
  protocolVersion: 5,
  clientId: device,
  clean: false,
  username: `${host}/${device}/?api-version=2021-04-12`,
  password: token,
  ca: fs.readFileSync(authority),
  reconnectPeriod: 100,
  properties: { sessionExpiryInterval: 3600, receiveMaximum: 2 },
});
const messages = [];
let waiting = null;

client.on('message', (topic, payload, packet) => {
  messages.push({ topic, payload: payload.toString(), properties: packet.properties || {} });
  if (waiting) waiting();
});

async function message() {
  while (!messages.length) await new Promise((resolve) => { waiting = resolve; });
  return messages.shift();
}

function connected() {
  return new Promise((resolve) => client.once('connect', (packet) => resolve(packet.sessionPresent)));
}

function publish(topic, payload, options) {
  return new Promise((resolve) =>
    client.publish(topic, payload, { qos: 1, ...options }, (error) => resolve(error ? error.code : 0)));
}

function subscribe(filters, properties) {
  return new Promise((resolve, reject) =>
    client.subscribe(filters, { qos: 1, properties }, (error, granted) =>
      (error ? reject(error) : resolve(granted.map((one) => one.qos)))));
}

function told({ topic, payload, properties }) {
  return topic.startsWith('$iothub/')
    ? { twin: topic, identifier: properties.subscriptionIdentifier }
    : { command: payload, type: properties.contentType, kind: properties.userProperties.kind };
}

function event(value) {
  return JSON.stringify({ type: 'reading', time: '2026-11-21T08:00:00Z', value, unit: 'mg/dL' });
}

async function main() {
  say({ present: await connected() });
  say({ granted: await subscribe([`${own}/devicebound/#`, '$iothub/twin/res/#'], { subscriptionIdentifier: 7 }) });
  const properties = { contentType: 'application/json', userProperties: { kind: 'x' }, topicAlias: 1 };
  say({ sent: [await publish(`${own}/events/`, event(100), { properties }), await publish(`${own}/events/`, event(101))] });
  say({ dead: await publish(`${own}/events/`, '?'), retained: await publish(`${own}/events/`, event(102), { retain: true }) });
  say({ wrong: await publish('any/topic', '') });
  await publish('$iothub/twin/GET/?$rid=1', '');
  for (const _ of [1, 2]) say(told(await message())); // in any order
  const why = new Promise((resolve) => client.once('disconnect', (packet) => resolve(packet.reasonCode)));
  const again = connected();
  client.publish('any/topic', '', { qos: 0 });
  say({ code: await why, again: await again });
  say({ sent: [await publish(`${own}/events/`, event(103))] });
  client.end(false, {}, () => process.exit(0));
}

main().catch((error) => { console.error(error); process.exit(1); });
