"""Exports and imports of the registry over HTTPS, in IoT Hub's paths and JSON (`/jobs/create`); files in place of blobs.

A file is a device a line, as JSON. An export holds id, etag, status, credentials and patient; twins are not in it. An
import does to each line what its `importMode` says, with tags and desired properties where a line has them, and writes
what went wrong to `importErrors.log`.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal

import msgspec
import structlog
from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response

from islet.access.decide import Action
from islet.errors import AlreadyExists, IsletError, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import thumbprints_json
from islet.gateways.http_body import read_body
from islet.gateways.http_bulk import BulkEndpoint, Item
from islet.gateways.http_registry import check
from islet.gateways.registry_files import RegistryFiles, RegistryJob
from islet.model.foreign_json import UNREADABLE, parse
from islet.model.people import Device
from islet.model.time import iso
from islet.store.base import Registry

DEVICES: Final = "devices.txt"
ERRORS: Final = "importErrors.log"
_KEPT: Final = 100
_TOLD_EVERY: Final = 200
_MOST_DEEP: Final = 32
_log = structlog.get_logger("islet.gateways.registry_jobs")


class _Wanted(Struct, rename="camel"):
    type: Literal["export", "import"]
    input_blob_container_uri: str | None = None
    input_blob_name: str | None = None
    output_blob_container_uri: str | None = None
    output_blob_name: str | None = None
    exclude_keys_in_export: bool | None = None


class RegistryJobEndpoints:
    """Handlers; each checks the caller's rights itself. One job runs at a time."""

    def __init__(
        self, authenticator: Authenticator, registry: Registry, bulk: BulkEndpoint, files: RegistryFiles
    ) -> None:
        self._authenticator, self._registry, self._bulk, self._files = authenticator, registry, bulk, files
        self._running: tuple[RegistryJob, asyncio.Task[None]] | None = None

    async def create(self, request: Request) -> Response:
        """200 with the job, which has begun; 409 while another runs."""
        by = check(self._authenticator, request, "jobs/create", Action.WRITE_REGISTRY)
        wanted = parse(await read_body(request), _Wanted, "job")
        if self._running is not None:
            raise AlreadyExists("another export or import runs; wait for its end, or cancel it")
        job = RegistryJob(
            job_id=secrets.token_hex(8),
            type=wanted.type,
            status="running",
            start_time_utc=iso(self._authenticator.wall_now()),
            input_blob_container_uri=_without_secret(wanted.input_blob_container_uri),
            input_blob_name=wanted.input_blob_name or DEVICES,
            output_blob_container_uri=_without_secret(wanted.output_blob_container_uri),
            output_blob_name=wanted.output_blob_name or (DEVICES if wanted.type == "export" else ERRORS),
            exclude_keys_in_export=bool(wanted.exclude_keys_in_export),
        )
        self._files.path(job.output_blob_container_uri, job.output_blob_name)
        if job.type == "import":
            self._files.path(job.input_blob_container_uri, job.input_blob_name)
        self._files.keep(job)  # without an await between: who asks for the next one finds this one
        twins = self._bulk.may_change_twins(request, "jobs/create")
        work = self._export if job.type == "export" else partial(self._import, twins=twins)
        self._running = job, asyncio.create_task(self._run(job, work, by))
        return _answer(job)

    async def list_jobs(self, request: Request) -> Response:
        check(self._authenticator, request, "jobs", Action.READ_REGISTRY)
        return _answer([self._as_it_is(job) for job in await self._all()])

    async def get(self, request: Request) -> Response:
        id = request.path_params["id"]
        check(self._authenticator, request, f"jobs/{id}", Action.READ_REGISTRY)
        return _answer(await self._one(id))

    async def cancel(self, request: Request) -> Response:
        """200 with the job; what it has done stays."""
        id = request.path_params["id"]
        check(self._authenticator, request, f"jobs/{id}", Action.WRITE_REGISTRY)
        if self._running is not None and self._running[0].job_id == id:
            task = self._running[1]
            task.cancel()
            await asyncio.wait((task,))
        return _answer(await self._one(id))

    async def _run(self, job: RegistryJob, work: Callable[[RegistryJob, str], Awaitable[int]], by: str) -> None:
        """Do it, and keep what became of it. An import that is cut off ends behind a line."""
        status, reason, count = "cancelled", "", 0
        try:
            count = await work(job, by)
            status = "completed"
        except IsletError as error:
            status, reason = "failed", str(error)
        except Exception:
            _log.exception("registry_job_failed")
            status, reason = "failed", "it could not be done; the platform's log says why"
        finally:
            now_us = self._authenticator.wall_now()
            last = job if self._running is None else self._running[0]
            progress = 100 if status == "completed" else last.progress
            ended = {"status": status, "failure_reason": reason, "progress": progress, "end_time_utc": iso(now_us)}
            self._running = None  # the next one may begin, whatever the disk says to this one's end
            self._registry.note(f"{job.type} {status}", "registry", f"{count} devices", by=by, at_us=now_us)
            self._kept(structs.replace(job, **ended))

    def _kept(self, job: RegistryJob) -> None:
        try:
            self._files.keep(job)
            self._files.forget_but(_KEPT)
        except OSError as error:
            _log.error("registry_job_not_kept", error=type(error).__name__)

    async def _export(self, job: RegistryJob, _: str) -> int:
        devices = await asyncio.to_thread(self._registry.devices)
        keys = not job.exclude_keys_in_export
        lines = [msgspec.json.encode(_line(device, keys=keys)) for device in _gateways_first(devices)]
        path = self._files.path(job.output_blob_container_uri, job.output_blob_name)
        await asyncio.to_thread(self._files.write, path, b"".join(line + b"\n" for line in lines))
        return len(lines)

    async def _import(self, job: RegistryJob, by: str, *, twins: bool) -> int:
        path = self._files.path(job.input_blob_container_uri, job.input_blob_name)
        lines = (await asyncio.to_thread(self._files.read, path)).splitlines()
        errors: list[bytes] = []
        done = 0
        for number, line in enumerate(lines, start=1):
            problem = await self._imported(line, by, twins=twins) if line.strip() else None
            done += problem is None and bool(line.strip())
            if problem is not None:
                errors.append(msgspec.json.encode({"line": number} | problem) + b"\n")
            if number % _TOLD_EVERY == 0 and self._running is not None:
                self._running = structs.replace(job, progress=100 * number // len(lines)), self._running[1]
        path = self._files.path(job.output_blob_container_uri, job.output_blob_name)
        await asyncio.to_thread(self._files.write, path, b"".join(errors))
        return done

    async def _imported(self, line: bytes, by: str, *, twins: bool) -> dict[str, object] | None:
        """What was wrong with a line; None where it was done."""
        try:
            item = msgspec.json.decode(line, type=Item)
        except UNREADABLE as error:
            return {"errorCode": 400004, "errorStatus": f"expected a device as JSON: {error}"}
        problem = await self._bulk.change(item, by, twins=twins)
        return None if problem is None else {"id": item.id, "errorCode": problem[0], "errorStatus": problem[1]}

    async def _all(self) -> list[RegistryJob]:
        return await asyncio.to_thread(self._files.jobs)

    async def _one(self, id: str) -> RegistryJob:
        found = next((job for job in await self._all() if job.job_id == id), None)
        if found is None:
            raise NotFound(f"Job with ID '{id}' is not there.")
        return self._as_it_is(found)

    def _as_it_is(self, job: RegistryJob) -> RegistryJob:
        """A kept one that has no end, and does not run, ended with the process that ran it."""
        if job.end_time_utc:
            return job
        if self._running is not None and self._running[0].job_id == job.job_id:
            return self._running[0]
        return structs.replace(job, status="failed", failure_reason="the platform was stopped meanwhile")


def _gateways_first(devices: Sequence[Device]) -> list[Device]:
    """Each one after the gateway that it names: in this order they can be imported."""
    gateways = {device.scope: device for device in devices if device.edge}

    def depth(device: Device) -> int:
        above = gateways.get(device.parent_scope if device.edge else device.scope)
        deep = 0
        while above is not None and deep < _MOST_DEEP:  # nobody keeps two from naming each other
            above, deep = gateways.get(above.parent_scope), deep + 1
        return deep

    return sorted(devices, key=depth)


def _line(device: Device, *, keys: bool) -> dict[str, object]:
    """A device as a line of a file; `Item` reads it back."""
    shown = {"primaryKey": device.primary_key or None, "secondaryKey": device.secondary_key or None}
    return {
        "id": device.id,
        "eTag": device.etag,
        "importMode": "createOrUpdate",
        "status": "enabled" if device.enabled else "disabled",
        "statusReason": device.status_reason or None,
        "authentication": {
            "type": device.authentication,
            "symmetricKey": shown if keys else dict.fromkeys(shown),
            "x509Thumbprint": thumbprints_json(device),
        },
        "capabilities": {"iotEdge": device.edge},
        "deviceScope": device.scope,
        "parentScopes": [device.parent_scope] if device.parent_scope else [],
        "patient": device.patient,
    }


def _without_secret(uri: str | None) -> str:
    """The address of a container, without the signature that stands in its query at Azure."""
    return (uri or "").partition("?")[0]


def _answer(content: RegistryJob | list[RegistryJob]) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
