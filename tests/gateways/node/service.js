// Run by a test: what a service does with the official SDK for Node over HTTPS.
// node service.js <connection string>; says what it got on a line.
'use strict';
const { Registry, Client } = require('azure-iothub');

async function status(promise) {
  try { await promise; return 200; } catch (error) { return (error.response || {}).statusCode || error.name; }
}

async function main(text) {
  const registry = Registry.fromConnectionString(text);
  const made = (await registry.create({ deviceId: 'pump-1' })).responseBody;
  const again = await status(registry.create({ deviceId: 'pump-1' }));
  const listed = (await registry.list()).responseBody.map((one) => one.deviceId);
  const bulk = (await registry.addDevices([{ deviceId: 'bulk-1' }, { deviceId: 'bulk-2' }])).responseBody;
  const twin = (await registry.getTwin('cgm-1')).responseBody;
  await twin.update({ tags: { ward: 4 }, properties: { desired: { every_s: 60 } } });
  const patched = (await registry.getTwin('cgm-1')).responseBody;
  const found = (await registry.createQuery('SELECT * FROM devices WHERE tags.ward = 4', 10).nextAsTwin()).result;
  const statistics = (await registry.getRegistryStatistics()).responseBody;
  const method = await status(Client.fromConnectionString(text).invokeDeviceMethod('pump-1', { methodName: 'measure' }));
  await registry.delete('pump-1');
  const gone = await status(registry.get('pump-1'));
  console.log(JSON.stringify({
    made: made.deviceId, again, listed, bulk: bulk.isSuccessful, tags: patched.tags,
    desired: patched.properties.desired.every_s, found: found.map((one) => one.deviceId),
    total: statistics.totalDeviceCount, method, gone,
  }));
}

main(process.argv[2]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
