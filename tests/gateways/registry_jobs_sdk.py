"""Run by a test: the registry exported and imported with the official SDK, against the hub whose connection string is
given. Ends with 77 where the SDK is not installed.
"""

import sys
import time

try:
    from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
    from azure.iot.hub.models import JobProperties
except ImportError:
    sys.exit(77)

BACKUP = "https://store.example/backup?sv=2020&sig=none"


def ended(manager: IoTHubJobManager, id: str) -> JobProperties:
    for _ in range(500):
        job = manager.get_import_export_job(id)
        if job.end_time_utc is not None:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{id} is {job.status}")


def main(text: str) -> None:
    manager, registry = (
        IoTHubJobManager.from_connection_string(text),
        IoTHubRegistryManager.from_connection_string(text),
    )
    wanted = JobProperties(type="export", output_blob_container_uri=BACKUP, exclude_keys_in_export=False)
    made = manager.create_import_export_job(wanted)
    assert made.type == "export" and made.job_id, made
    job = ended(manager, made.job_id)
    assert (job.status, job.progress) == ("completed", 100), job
    without = JobProperties(
        type="export", output_blob_container_uri="https://x.example/without-keys", exclude_keys_in_export=True
    )
    ended(manager, manager.create_import_export_job(without).job_id)
    key = registry.get_device("cgm-1").authentication.symmetric_key.primary_key
    registry.delete_device("cgm-1")
    back = JobProperties(type="import", input_blob_container_uri=BACKUP, output_blob_container_uri=BACKUP)
    assert ended(manager, manager.create_import_export_job(back).job_id).status == "completed"
    assert registry.get_device("cgm-1").authentication.symmetric_key.primary_key == key
    assert [job.type for job in manager.get_import_export_jobs()] == ["import", "export", "export"]


main(sys.argv[1])
