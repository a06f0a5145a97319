// Run by a test: a Plug and Play device, with the official SDK for Node over the transport that is named.
// node plug_and_play.js mqtt|mqtt-ws <connection string> <file with the authority> [module]; says each step on a line.
'use strict';
const fs = require('fs');
const { Client, ModuleClient, Message } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');

const [name, text, authority, kind] = process.argv.slice(2);
const module_ = kind === 'module';
const client = (module_ ? ModuleClient : Client).fromConnectionString(text, name === 'mqtt' ? Mqtt : MqttWs);
const say = (what) => console.log(JSON.stringify(what));

function telemetry() {
  const message = new Message(JSON.stringify({ temperature: 21 }));
  message.properties.add('$.sub', 'sensor');
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  return message;
}

async function main() {
  await client.setOptions({ ca: fs.readFileSync(authority, 'utf8'), modelId: 'dtmi:com:example:Thermostat;1' });
  await client.open();
  const on = (method, handle) => (module_ ? client.onMethod(method, handle) : client.onDeviceMethod(method, handle));
  const called = ['reboot', 'sensor*blink'].map((method) => new Promise((resolve) =>
    on(method, (request, response) => response.send(200, [method, request.payload], resolve))));
  await client.sendEvent(telemetry());
  const twin = await client.getTwin();
  const changed = new Promise((resolve) => twin.on('properties.desired.fake', resolve));
  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ fake: 'device' }, (error) => (error ? reject(error) : resolve())));
  say({ ready: true });
  await Promise.all(called);
  await changed;
  const { desired, reported } = (await client.getTwin()).properties;
  say({ desired: [desired.fake, desired.$version], reported: [reported.fake, reported.$version] });
  await client.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
