// Run by a test: a device with a certificate, by the official SDK for Node.
// node device_x509.js mqtt|mqtt-ws|amqp|amqp-ws <host> <device> <certificate file> <key file> <file with the authority>
'use strict';
const fs = require('fs');
const { Client, Message } = require('azure-iot-device');

const transports = require('./transports');

async function main(transport, host, device, certificate, key, authority) {
  const kind = transports[transport]();
  const client = Client.fromConnectionString(`HostName=${host};DeviceId=${device};x509=true`, kind);
  const read = (path) => fs.readFileSync(path, 'utf8');
  await client.setOptions({ cert: read(certificate), key: read(key), ca: read(authority) });
  await client.open();
  const body = { type: 'reading', time: '2026-11-21T08:00:00Z', value: 100, unit: 'mg/dL' };
  await client.sendEvent(new Message(JSON.stringify(body)));
  console.log(JSON.stringify({ sent: true }));
  await client.close();
}

main(...process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
