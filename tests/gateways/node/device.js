// Run by a test: what a device does with the official SDK for Node, over the transport that is named.
// node device.js mqtt|mqtt-ws|amqp|amqp-ws|http <connection string> <file with the authority>; says each step on a line.
'use strict';
const fs = require('fs');
const { Client, Message } = require('azure-iot-device');

const [name, text, authority] = process.argv.slice(2);
const transports = require('./transports');
const client = Client.fromConnectionString(text, transports[name]());
const once = (start) => new Promise((resolve) => start(resolve));
const say = (what) => console.log(JSON.stringify(what));

function event(value) {
  const body = { type: 'reading', time: '2026-11-21T08:00:00Z', value, unit: 'mg/dL' };
  const message = new Message(JSON.stringify(body));
  message.properties.add('kind', 'a/b c');
  return message;
}

async function command() {
  const message = await once((resolve) => client.on('message', resolve));
  const { properties } = message; // over HTTP the SDK leaves the header's whole name
  const kind = properties.getValue('kind') ?? properties.getValue('iothub-app-kind');
  say({ command: message.data.toString(), id: message.messageId, kind });
  return message;
}

async function main() {
  const options = { ca: fs.readFileSync(authority, 'utf8') };
  if (name === 'http') options.http = { receivePolicy: { interval: 1 } };
  await client.setOptions(options);
  await client.open();
  await client.sendEvent(event(100));
  if (name === 'http') await client.sendEventBatch([event(101), event(102)]);
  else for (const value of [101, 102]) await client.sendEvent(event(value));
  say({ sent: 3 });
  await client.complete(await command());
  if (name !== 'http') await twinAndMethods();
  await client.close();
}

async function twinAndMethods() {
  const twin = await client.getTwin();
  const changed = once((resolve) => twin.on('properties.desired.every_s', resolve));
  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ battery: 80 }, (error) => (error ? reject(error) : resolve())));
  const called = once((resolve) => client.onDeviceMethod('measure', (request, response) => {
    response.send(201, { got: request.payload }, () => resolve(request.payload));
  }));
  say({ ready: true });
  say({ called: await called });
  say({ every_s: await changed });
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
