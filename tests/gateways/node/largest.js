// Run by a test: a device gets the largest command and sends as much, with the official SDK for Node.
// node largest.js <transport> <connection string> <file with the authority>; says how much it got.
'use strict';
const fs = require('fs');
const { Client, Message } = require('azure-iot-device');

const [name, text, authority] = process.argv.slice(2);
const kinds = { mqtt: 'Mqtt', 'mqtt-ws': 'MqttWs', amqp: 'Amqp', 'amqp-ws': 'AmqpWs' };
const transport = require(`azure-iot-device-${name.replace('-ws', '')}`)[kinds[name]];
const client = Client.fromConnectionString(text, transport);

async function main() {
  await client.setOptions({ ca: fs.readFileSync(authority, 'utf8') });
  await client.open();
  const message = await new Promise((resolve) => client.on('message', resolve));
  await client.complete(message);
  await client.sendEvent(new Message(message.data));
  console.log(JSON.stringify({ bytes: message.data.length }));
  await client.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
