// Run by a test: a device that registers itself with the official SDK for Node, then sends an event.
// node provision.js <host> <id scope> <registration id> <key> <file with the authority>; says each step on a line.
'use strict';
const fs = require('fs');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Mqtt: Provisioning } = require('azure-iot-provisioning-device-mqtt');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

async function main(host, scope, id, key, authority) {
  const ca = fs.readFileSync(authority, 'utf8');
  const security = new SymmetricKeySecurityClient(id, key);
  const registered = await ProvisioningDeviceClient.create(host, scope, new Provisioning(), security).register();
  console.log(JSON.stringify({ hub: registered.assignedHub, device: registered.deviceId }));
  const text = `HostName=${registered.assignedHub};DeviceId=${registered.deviceId};SharedAccessKey=${key}`;
  const client = Client.fromConnectionString(text, Mqtt);
  await client.setOptions({ ca });
  await client.open();
  const body = { type: 'reading', time: '2026-11-21T08:00:00Z', value: 100, unit: 'mg/dL' };
  await client.sendEvent(new Message(JSON.stringify(body)));
  await client.close();
}

main(...process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
