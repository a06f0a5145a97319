// Run by a test: a service sends commands over AMQP with the official SDK for Node, and hears how they ended.
// node service_amqp.js <connection string> amqp|amqp-ws; says each step on a line.
'use strict';
const { Client } = require('azure-iothub');
const { Message } = require('azure-iot-common');

const say = (what) => console.log(JSON.stringify(what));

async function main(text, transport) {
  const { Amqp, AmqpWs } = require('azure-iothub/dist/' + (transport === 'amqp' ? 'amqp' : 'amqp_ws'));
  const client = Client.fromConnectionString(text, transport === 'amqp' ? Amqp : AmqpWs);
  await client.open();
  const receiver = await new Promise((resolve, reject) =>
    client.getFeedbackReceiver((error, found) => (error ? reject(error) : resolve(found))));
  const heard = new Promise((resolve) => receiver.on('message', resolve));
  const command = new Message('buzz');
  command.messageId = 'm 1';
  command.ack = 'full';
  command.properties.add('kind', 'a/b c');
  await client.send('cgm-1', command);
  say({ sent: true });
  const failure = await client.send('nobody', new Message('buzz')).then(() => 'sent', (error) => error.name);
  say({ nobody: failure });
  const feedback = await heard;
  const records = JSON.parse(feedback.data.toString());
  await new Promise((resolve) => receiver.complete(feedback, resolve));
  say({ heard: records.map((one) => [one.originalMessageId, one.statusCode, one.deviceId]) });
  await client.close();
}

main(process.argv[2], process.argv[3]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
