// Run by a test: a device uploads files with the official SDK for Node, and a service hears of them.
// node upload.js mqtt|mqtt-ws|amqp|amqp-ws|http <device's connection string> <service's> <file with the authority>
// Says each step on a line.
'use strict';
const fs = require('fs');
const { Readable } = require('stream');
const { Client } = require('azure-iot-device');
const { Client: Service } = require('azure-iothub');

const [name, text, serviceText, authority] = process.argv.slice(2);
const transports = require('./transports');
const say = (what) => console.log(JSON.stringify(what));

async function main() {
  const service = Service.fromConnectionString(serviceText);
  await service.open();
  const receiver = await new Promise((resolve, reject) =>
    service.getFileNotificationReceiver((error, found) => (error ? reject(error) : resolve(found))));
  const heard = [];
  const all = new Promise((resolve) => receiver.on('message', (message) => {
    const { deviceId, blobName, blobSizeInBytes } = JSON.parse(message.data.toString());
    heard.push([deviceId, blobName, blobSizeInBytes]);
    receiver.complete(message, () => heard.length === 2 && resolve());
  }));

  const client = Client.fromConnectionString(text, transports[name]());
  const options = { ca: fs.readFileSync(authority, 'utf8') };
  if (name === 'http') options.http = { receivePolicy: { interval: 1 } }; // without, the SDK never answers
  await client.setOptions(options);
  const large = Buffer.alloc(9 * 1024 * 1024, 'ab'); // three blocks
  await client.uploadToBlob('logs/day 22.bin', Readable.from([large], { objectMode: false }), large.length);
  say({ uploaded: large.length });

  const info = await client.getBlobSharedAccessSignature('small.csv');
  const { BlockBlobClient } = require('@azure/storage-blob');
  const blob = new BlockBlobClient(`https://${info.hostName}/${info.containerName}/${info.blobName}${info.sasToken}`);
  const put = await blob.upload('a,b\n1,2\n', 8);
  say({ put: put._response.status, md5: Buffer.from(put.contentMD5).toString('base64') });
  const read = await blob.download().then(() => 'read', (error) => error.statusCode);
  await client.notifyBlobUploadStatus(info.correlationId, true, 201, 'Created');
  const late = await blob.upload('other', 5).then(() => 'written', (error) => [error.statusCode, error.code]);
  say({ read, late });
  const wrong = await client.notifyBlobUploadStatus('none', true, 201, '').then(() => 'told', () => 'refused');
  say({ wrong });
  await all;
  say({ heard: heard.sort() });
  await client.close();
  await service.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
