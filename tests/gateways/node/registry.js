// Run by a test: what a service does with the registry, with the official SDK for Node.
// node registry.js <connection string>; says what it got on a line.
'use strict';
const { Registry } = require('azure-iothub');
// since 1.16 this SDK has error classes of its own, which are none of azure-iot-common's

const failure = (promise) => promise.then(() => null, (error) => error);

async function gateways(registry) {
  const gateway = (await registry.create({ deviceId: 'gateway', capabilities: { iotEdge: true } })).responseBody;
  const wanted = { deviceId: 'behind', deviceScope: gateway.deviceScope };
  const behind = (await registry.create(wanted)).responseBody;
  const elsewhere = await failure(registry.update({ ...behind, deviceScope: 'ms-azure-iot-edge://nobody-1' }));
  return {
    edge: [gateway.capabilities.iotEdge, behind.capabilities.iotEdge],
    behind: Boolean(gateway.deviceScope) && behind.deviceScope === gateway.deviceScope,
    parents: behind.parentScopes.length,
    elsewhere: elsewhere.name,
  };
}

async function twins(registry) {
  const twin = (await registry.getTwin('gateway')).responseBody;
  await twin.update({ tags: { ward: 4, floor: { n: 1 } }, properties: { desired: { a: 1, b: { c: 2 } } } });
  await twin.update({ tags: null, properties: { desired: null } });
  const { tags, properties } = (await registry.getTwin('gateway')).responseBody;
  return { tags, desired: Object.keys(properties.desired).sort(), version: properties.desired.$version };
}

async function configurations(registry) {
  const made = {
    id: 'node_1', priority: 20, targetCondition: '',
    content: { deviceContent: { 'properties.desired': { prop: 'foo' } } },
  };
  await registry.addConfiguration(made);
  const found = (await registry.getConfiguration('node_1')).responseBody;
  await registry.updateConfiguration({ ...found, priority: 99 });
  await registry.updateConfiguration({ ...made, priority: 98 }, true);
  const listed = (await registry.getConfigurations()).responseBody;
  await registry.removeConfiguration('node_1');
  const gone = await failure(registry.getConfiguration('node_1'));
  return {
    content: JSON.stringify(found.content) === JSON.stringify(made.content),
    listed: listed.map((one) => [one.id, one.priority]),
    gone: gone.response.statusCode,
  };
}

async function main(text) {
  const registry = Registry.fromConnectionString(text);
  const absent = [registry.get('nobody'), registry.delete('nobody'), registry.getTwin('nobody')];
  const told = await Promise.all(absent.map(failure));
  console.log(JSON.stringify({
    absent: told.map((error) => error.name),
    gateways: await gateways(registry),
    twins: await twins(registry),
    configurations: await configurations(registry),
  }));
}

main(process.argv[2]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
