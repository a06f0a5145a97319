// Run by a test: jobs over many devices with the official SDK for Node. node jobs.js <connection string>
'use strict';
const { JobClient, Registry } = require('azure-iothub');

async function ended(client, id) {
  for (;;) {
    const job = (await client.getJob(id)).jobStatus;
    if (job.status !== 'scheduled' && job.status !== 'running') return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function main(text) {
  const client = JobClient.fromConnectionString(text);
  const patch = { etag: '*', properties: { desired: { every_s: 60 } } };
  await client.scheduleTwinUpdate('twins', '*', patch, new Date(), 60);
  const twins = await ended(client, 'twins');
  await client.scheduleDeviceMethod('calls', "deviceId = 'pump-1'", { methodName: 'measure' }, new Date(), 600);
  const cancelled = (await client.cancelJob('calls')).jobStatus.status;
  const listed = (await client.createQuery().next()).result.map((one) => one.jobId);
  const query = Registry.fromConnectionString(text).createQuery("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'twins'", 10);
  const steps = (await query.next()).result.map((one) => [one.deviceId, one.status]);
  console.log(JSON.stringify({ status: twins.status, done: twins.deviceJobStatistics.succeededCount, cancelled, listed, steps }));
}

main(process.argv[2]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
