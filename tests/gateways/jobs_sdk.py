"""Run by a test: jobs over many devices with the official SDK, against the hub whose connection string is given.

Ends with 77 where the SDK is not installed.
"""

import sys
import time
from datetime import UTC, datetime

try:
    from azure.iot.hub import IoTHubJobManager
    from azure.iot.hub.models import CloudToDeviceMethod, JobRequest, Twin, TwinProperties
except ImportError:
    sys.exit(77)


def ended(manager: IoTHubJobManager, id: str) -> object:
    for _ in range(500):
        job = manager.get_scheduled_job(id)
        if job.status not in ("scheduled", "running"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"{id} is {job.status}")


def main(text: str) -> None:
    manager = IoTHubJobManager.from_connection_string(text)
    twin = Twin(etag="*", properties=TwinProperties(desired={"every_s": 60}))
    request = JobRequest(
        job_id="twins",
        type="scheduleUpdateTwin",
        update_twin=twin,
        query_condition="deviceId IN ['cgm-1', 'pump-1']",
        start_time=datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        max_execution_time_in_seconds=60,
    )
    made = manager.create_scheduled_job("twins", request)
    assert (made.job_id, made.type) == ("twins", "scheduleUpdateTwin")
    job = ended(manager, "twins")
    assert job.status == "completed" and job.device_job_statistics.succeeded_count == 2  # type: ignore[attr-defined]
    method = CloudToDeviceMethod(method_name="measure", payload={}, response_timeout_in_seconds=5)
    request = JobRequest(
        job_id="calls",
        type="scheduleDeviceMethod",
        cloud_to_device_method=method,
        query_condition="*",
        max_execution_time_in_seconds=600,
    )
    assert manager.create_scheduled_job("calls", request).status in ("queued", "running")
    assert manager.cancel_scheduled_job("calls").status == "cancelled"
    assert len(manager.query_scheduled_jobs("scheduleUpdateTwin", "completed").items) == 1


main(sys.argv[1])
