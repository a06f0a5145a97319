// Run by a test: the registry exported and imported with the official SDK for Node. node registry_jobs.js <connection string>
'use strict';
const { Registry } = require('azure-iothub');

async function ended(registry, id) {
  for (;;) {
    const answer = await registry.getJob(id);
    const job = answer.responseBody || answer;
    if (job.endTimeUtc) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function started(promise) {
  const answer = await promise;
  return (answer.responseBody || answer).jobId;
}

async function main(text) {
  const registry = Registry.fromConnectionString(text);
  const place = 'https://store.example/backup?sig=none';
  const exported = await ended(registry, await started(registry.exportDevicesToBlob(place, false)));
  const imported = await ended(registry, await started(registry.importDevicesFromBlob(place, place)));
  const listed = (await registry.listJobs()).responseBody.length;
  const cancelled = await registry.cancelJob(imported.jobId);
  console.log(JSON.stringify({
    exported: exported.status,
    imported: imported.status,
    listed,
    cancelled: (cancelled.responseBody || cancelled).status,
  }));
}

main(process.argv[2]).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
