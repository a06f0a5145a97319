"""Jobs over many devices over HTTPS, in IoT Hub's paths and JSON (`/jobs/v2`).

Ours are the type `scheduleCommand` with `cloudToDeviceMessage`, and `deviceIds` instead of a condition.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_twins import Json, JsonObject
from islet.errors import BadInput, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import NEVER
from islet.gateways.http_body import read_body
from islet.model.foreign_json import UNREADABLE
from islet.model.time import DAY_US, SECOND_US, iso, to_us
from islet.store.devices_base import DeviceJob, JobKind, JobState, JobStatus, JobStep, Step

USUAL_S: Final = 3600
LONGEST_US: Final = 14 * DAY_US
_FIELDS: Final = {
    JobKind.METHOD: "cloudToDeviceMethod",
    JobKind.TWIN: "updateTwin",
    JobKind.COMMAND: "cloudToDeviceMessage",
}
_MOST_JOBS: Final = 1000


class Runner(Protocol):
    """The part of `islet.gateways.device_jobs.JobRunner` that is used here."""

    async def start(self, job: DeviceJob) -> JobState: ...
    async def cancel(self, id: str) -> JobState: ...


class _Body(Struct, rename="camel"):
    type: str = ""
    job_id: str | int | None = None
    query_condition: str | None = None
    device_ids: tuple[str, ...] | None = None
    start_time: datetime | None = None
    max_execution_time_in_seconds: int | None = None
    cloud_to_device_method: JsonObject | None = None
    update_twin: JsonObject | None = None
    cloud_to_device_message: JsonObject | None = None


class JobEndpoints:
    """Handlers; each checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange, runner: Runner) -> None:
        self._authenticator, self._exchange, self._runner = authenticator, exchange, runner

    async def put(self, request: Request) -> Response:
        """200 with the job as it stands; 409 where one of that id is there already."""
        id, by = self._checked(request)
        job = read_job(await read_body(request), id, self._exchange.wall_now(), by=by)
        made = await self._runner.start(job)
        await asyncio.to_thread(self._authenticator.note, f"started {job.kind}", "device job", id, by)
        queued: JsonObject = {"status": "queued"} if made.status is JobStatus.SCHEDULED else {}  # IoT Hub's first word
        return JSONResponse(job_json(made) | queued)

    async def get(self, request: Request) -> Response:
        id, _ = self._checked(request)
        state = await self._exchange.write(lambda: self._exchange.devices.job(id))
        if state is None:
            raise NotFound(f"Job with ID '{id}' is not there.")
        return JSONResponse(job_json(state))

    async def cancel(self, request: Request) -> Response:
        id, by = self._checked(request)
        state = await self._runner.cancel(id)
        await asyncio.to_thread(self._authenticator.note, "cancelled", "device job", id, by)
        return JSONResponse(job_json(state))

    async def query(self, request: Request) -> Response:
        """200 with jobs, newest first; `x-ms-continuation` is there when there are more."""
        self._authenticator.check_service("jobs/v2/query", request.headers.get("authorization", ""))
        status, kind = request.query_params.get("jobStatus", ""), request.query_params.get("jobType", "")
        statuses = _statuses(status)
        after, most = _after(request.headers.get("x-ms-continuation", "")), _most(request.headers)
        devices = self._exchange.devices
        found = await self._exchange.write(lambda: devices.jobs(statuses or (), after=after, limit=_MOST_JOBS))
        those = [state for state in found if kind in ("", state.job.kind)] if statuses is not None else []
        headers = {"x-ms-item-type": "JobResponse"}
        if len(those) > most:
            headers["x-ms-continuation"] = base64.b64encode(those[most - 1].job.id.encode()).decode()
        shown = [job_json(state) for state in those[:most]]
        if "msrest" in request.headers.get("user-agent", ""):
            # azure-iot-hub 2.7 for Python reads an object here, azure-iothub 1.16 for Node a list
            more = headers.get("x-ms-continuation")
            return JSONResponse({"type": "jobResponse", "items": shown, "continuationToken": more}, headers=headers)
        return JSONResponse(shown, headers=headers)

    def _checked(self, request: Request) -> tuple[str, str]:
        """The id in the path, and who asks."""
        id: str = request.path_params["id"]
        return id, self._authenticator.check_service(f"jobs/v2/{id}", request.headers.get("authorization", ""))


def read_job(content: bytes, id: str, now_us: int, *, by: str) -> DeviceJob:
    """The job in a request's body. Raises BadInput."""
    try:
        body = msgspec.json.decode(content, type=_Body)
        kind = JobKind(body.type)
    except (*UNREADABLE, ValueError):
        raise BadInput(f"job: expected a JSON object with type one of {', '.join(JobKind)}", reason="schema") from None
    what = {
        JobKind.METHOD: body.cloud_to_device_method,
        JobKind.TWIN: body.update_twin,
        JobKind.COMMAND: body.cloud_to_device_message,
    }[kind]
    if what is None:
        raise BadInput(f"job: expected {_FIELDS[kind]}", reason="schema")
    if (body.query_condition is None) == (body.device_ids is None):
        raise BadInput("job: expected either queryCondition (* for all devices) or deviceIds", reason="schema")
    if not 1 <= len(id) <= 128:
        raise BadInput("job: expected an id of 1 to 128 characters", reason="schema")
    if body.start_time is not None and body.start_time.tzinfo is None:
        raise BadInput("job: expected startTime with its zone, such as 2026-11-21T08:03:00Z", reason="time")
    lasts_us = (body.max_execution_time_in_seconds or USUAL_S) * SECOND_US
    if not SECOND_US <= lasts_us <= LONGEST_US:
        raise BadInput("job: expected maxExecutionTimeInSeconds of at most 14 days", reason="schema")
    return DeviceJob(
        id=id,
        kind=kind,
        body=what,
        condition=body.query_condition or "",
        devices=body.device_ids,
        created_us=now_us,
        start_us=now_us if body.start_time is None else max(now_us, to_us(body.start_time)),
        lasts_us=lasts_us,
        by=by,
    )


def job_json(state: JobState) -> JsonObject:
    """A job as services see it."""
    job, steps = state.job, state.steps
    failed = steps.get(Step.FAILED, 0) + steps.get(Step.CANCELED, 0)
    said: JsonObject = {
        "jobId": job.id,
        "type": job.kind.value,
        "status": state.status.value,
        "createdTime": iso(job.created_us),
        "startTime": iso(job.start_us),
        "endTime": NEVER if state.ended_us is None else iso(state.ended_us),
        "maxExecutionTimeInSeconds": job.lasts_us // SECOND_US,
        _FIELDS[job.kind]: job.body,
        "failureReason": state.reason or None,
        "statusMessage": None,
        "deviceJobStatistics": {
            "deviceCount": state.devices,
            "failedCount": failed,
            "succeededCount": steps.get(Step.COMPLETED, 0),
            "runningCount": steps.get(Step.RUNNING, 0),
            "pendingCount": steps.get(Step.PENDING, 0),
        },
    }
    to: JsonObject = {"queryCondition": job.condition} if job.devices is None else {"deviceIds": list(job.devices)}
    return said | to


def step_json(state: JobState, step: JobStep) -> JsonObject:
    """A job at one device, as `FROM devices.jobs` shows it; `tries` is ours."""
    error: Json = None
    if step.reason and step.step is not Step.COMPLETED:
        error = {"code": "JobRunPreconditionFailed", "description": step.reason}
    return {
        "deviceId": step.address.device,
        "jobId": step.job,
        "jobType": state.job.kind.value,
        "status": step.step.value,
        "createdDateTimeUtc": iso(state.job.created_us),
        "startTimeUtc": iso(state.job.start_us),
        "endTimeUtc": NEVER if step.step in (Step.PENDING, Step.RUNNING) else iso(step.changed_us),
        "lastUpdatedDateTimeUtc": iso(step.changed_us),
        "outcome": {} if step.answer is None else {"deviceMethodResponse": step.answer},
        "error": error,
        "tries": step.tries,
    }


def _statuses(word: str) -> tuple[JobStatus, ...] | None:
    """Of jobs in IoT Hub's words; None for one that no job of ours has."""
    if not word:
        return ()
    word = {"queued": "scheduled", "enqueued": "scheduled", "canceled": "cancelled"}.get(word.lower(), word.lower())
    return (JobStatus(word),) if word in tuple(JobStatus) else None


def _most(headers: Mapping[str, str]) -> int:
    text = headers.get("x-ms-max-item-count", "")
    if not text:
        return 100
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise BadInput("x-ms-max-item-count: expected a number above 0", reason="schema")
    return min(int(text), _MOST_JOBS)


def _after(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadInput("x-ms-continuation: expected what an earlier page said", reason="schema") from None
