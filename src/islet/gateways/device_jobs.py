"""Works jobs off: each device is asked in turn, again after a while where it was not there, until the job's time is
over. What has become of it at each device is durable, so that a restart goes on where it was.

A method may be called twice when the platform dies between the call and its answer; a command is put into each mailbox
once, in the transaction that says so; a twin is changed to the same again.
"""

import asyncio
import contextlib
import functools
from random import Random
from typing import Final

import msgspec
import structlog
from msgspec import structs

from islet.decode.iothub_query import parse_query
from islet.decode.iothub_twins import Json, JsonObject, parse_service_twin
from islet.errors import BadInput, IsletError, NotFound
from islet.gateways.exchange import Exchange
from islet.gateways.http_query import device_documents
from islet.gateways.http_twins import parse_call, shown_answer
from islet.gateways.presence import NoAnswer, NotOnline
from islet.model.time import MINUTE_US, SECOND_US
from islet.store.base import Registry
from islet.store.devices_base import (
    MOST_DEVICES,
    Address,
    Command,
    DeviceJob,
    JobKind,
    JobState,
    JobStatus,
    JobStep,
    MailboxFull,
    Outcome,
    Step,
)

LOOK_S: Final = 1.0
TOGETHER: Final = 64
FIRST_PAUSE_US: Final = 5 * SECOND_US
LONGEST_PAUSE_US: Final = 5 * MINUTE_US
_TOO_LATE: Final = "the job's time is over"
_OPEN: Final = (Step.PENDING, Step.RUNNING)

_log = structlog.get_logger("islet.gateways.jobs")


class JobRunner:
    """One for an exchange; made in its loop. `pause` is the first wait after a failure; each one is twice as long."""

    def __init__(
        self,
        exchange: Exchange,
        registry: Registry,
        rng: Random,
        *,
        look_s: float = LOOK_S,
        pause_us: int = FIRST_PAUSE_US,
    ) -> None:
        self._exchange, self._registry, self._rng = exchange, registry, rng
        self._look_s, self._pause_us = look_s, pause_us
        self._wake = asyncio.Event()
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._task = asyncio.create_task(self._run(), name="device-jobs")

    async def start(self, job: DeviceJob) -> JobState:
        """Keep a job; it begins at its time. Raises AlreadyExists, NotFound for a device that is named and not
        registered, and BadInput for what could never be done."""
        check_job(job)
        registered = await asyncio.to_thread(lambda: {one.id for one in self._registry.devices()})
        for id in job.devices or ():
            if id not in registered:
                raise NotFound(f"Device with ID '{id}' is not registered.")
        devices = self._exchange.devices

        def create() -> JobState | None:
            devices.create_job(job)
            return devices.job(job.id)

        state = await self._exchange.write(create)
        assert state is not None
        self._wake.set()
        return state

    async def cancel(self, id: str) -> JobState:
        """End a job; devices that were asked already may still do it. Raises NotFound."""
        devices = self._exchange.devices

        def cancel() -> JobState | None:
            devices.end_job(id, JobStatus.CANCELLED, self._exchange.wall_now())
            return devices.job(id)

        state = await self._exchange.write(cancel)
        assert state is not None
        return state

    async def close(self) -> None:
        """Stop; what is under way is asked again after the next start."""
        tasks = [self._task, *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        begun = False
        while True:
            try:
                self._wake.clear()
                if not begun:
                    await self._begin_again()
                    begun = True
                await self.look()
            except Exception:  # the disk; a job must not be the end of all jobs
                _log.exception("jobs_failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()

    async def _begin_again(self) -> None:
        """Calls that an earlier process was making had no answer."""
        devices = self._exchange.devices
        for step in await self._exchange.write(lambda: devices.job_steps(None, (Step.RUNNING,), limit=-1)):
            if step.command is None:
                await self._put(structs.replace(step, step=Step.PENDING))

    async def look(self) -> None:
        """Begin what is due."""
        devices = self._exchange.devices
        going = await self._exchange.write(lambda: devices.jobs((JobStatus.SCHEDULED, JobStatus.RUNNING)))
        for state in going:
            await self._begin_or_end(state, self._exchange.wall_now())
        if not going:
            return
        by_id, free = {state.job.id: state.job for state in going}, TOGETHER - len(self._under_way)
        now_us, most = self._exchange.wall_now(), TOGETHER
        due = await self._exchange.write(lambda: devices.job_steps(None, _OPEN, due_us=now_us, limit=most))
        new = [step for step in due if step.job in by_id and _place(step) not in self._under_way][:free]
        for step in new:
            self._under_way[_place(step)] = task = asyncio.create_task(self._do(by_id[step.job], step))
            task.add_done_callback(functools.partial(self._done, _place(step)))

    def _done(self, place: tuple[str, str], task: "asyncio.Task[None]") -> None:
        del self._under_way[place]
        if not task.cancelled() and task.exception() is not None:  # the disk; it is asked again
            _log.error("job_step_failed", error=type(task.exception()).__name__)
            return
        if len(self._under_way) < TOGETHER // 2:
            self._wake.set()

    async def _begin_or_end(self, state: JobState, now_us: int) -> None:
        devices, job = self._exchange.devices, state.job
        if state.status is JobStatus.SCHEDULED and job.start_us <= now_us:
            try:
                to = await self._addresses(job)
            except BadInput as error:
                reason = str(error)
                await self._exchange.write(lambda: devices.end_job(job.id, JobStatus.FAILED, now_us, reason))
                return
            await self._exchange.write(lambda: devices.begin_job(job.id, to, now_us))
        elif state.status is JobStatus.RUNNING and not any(state.steps.get(one) for one in _OPEN):
            await self._exchange.write(lambda: devices.end_job(job.id, JobStatus.COMPLETED, now_us))
        elif state.status is JobStatus.RUNNING and now_us >= job.until_us:
            await self._exchange.write(lambda: self._end_late(job, now_us))

    def _end_late(self, job: DeviceJob, now_us: int) -> None:
        self._exchange.devices.end_job(job.id, JobStatus.COMPLETED, now_us, _TOO_LATE)

    async def _addresses(self, job: DeviceJob) -> list[Address]:
        if job.devices is not None:
            found = await asyncio.to_thread(
                lambda: [self._registry.device(id) for id in dict.fromkeys(job.devices or ())]
            )
            return [Address(device.id, device.generation_id) for device in found if device is not None]
        query = parse_query(job_query(job.condition))
        online = self._exchange.presence.online()
        store = self._exchange.devices

        def matching() -> list[JsonObject]:
            documents = device_documents(self._registry, store, modules=False, online=online)
            return [one for one in documents if query.matches(one)]

        ids = [str(one["deviceId"]) for one in await self._exchange.write(matching)]
        devices = await asyncio.to_thread(lambda: [self._registry.device(id) for id in ids])
        return [Address(device.id, device.generation_id) for device in devices if device is not None]

    # --- one device ---

    async def _do(self, job: DeviceJob, step: JobStep) -> None:
        try:
            if step.command is not None:
                await self._follow(job, step)
            elif job.kind is JobKind.TWIN:
                await self._exchange.change_twin(step.address, parse_service_twin(job.body))
                await self._ended(step, Step.COMPLETED)
            elif job.kind is JobKind.METHOD:
                await self._call(job, step)
            else:
                await self._send(job, step)
        except (NotOnline, NoAnswer, MailboxFull) as error:
            await self._again(job, step, str(error))
        except IsletError as error:
            await self._ended(step, Step.FAILED, reason=str(error))

    async def _call(self, job: DeviceJob, step: JobStep) -> None:
        call = parse_call(msgspec.json.encode(job.body))
        if not await self._put(structs.replace(step, step=Step.RUNNING, next_us=job.until_us)):
            return
        payload = bytes(call.payload)
        status, answer = await self._exchange.invoke(
            step.address, call.method_name, payload, answer_s=call.answer_s, connect_s=call.connect_s
        )
        await self._ended(step, Step.COMPLETED, answer={"status": status, "payload": shown_answer(answer)})

    async def _send(self, job: DeviceJob, step: JobStep) -> None:
        """Into the mailbox, and from then on it is looked at now and again what became of it."""
        body = msgspec.json.encode(job.body)
        command = Command(body=body, properties={"$.mid": job.id, "$.ct": "application/json"}, expires_us=job.until_us)
        devices, now_us = self._exchange.devices, self._exchange.wall_now()
        running = structs.replace(step, step=Step.RUNNING, changed_us=now_us, next_us=now_us + self._pause_us)

        def put() -> bool:
            if not devices.put_job_step(running):  # the job has ended meanwhile
                return False
            number = devices.put_command(step.address, command, self._exchange.wall_now())
            return devices.put_job_step(structs.replace(running, command=number))

        if await self._exchange.write(put):
            self._exchange.command_waits(step.address)

    async def _follow(self, job: DeviceJob, step: JobStep) -> None:
        number = step.command
        assert number is not None
        outcome = await self._exchange.write(lambda: self._exchange.devices.command_outcome(number))
        if outcome is None:  # the longer it waits, the more seldom it is looked at
            now_us = self._exchange.wall_now()
            pause_us = min(max(self._pause_us, (now_us - step.changed_us) // 4), LONGEST_PAUSE_US)
            await self._put(structs.replace(step, next_us=now_us + pause_us))
        elif outcome is Outcome.SUCCESS:
            await self._ended(step, Step.COMPLETED)
        elif outcome is Outcome.EXPIRED and self._exchange.wall_now() < job.until_us:  # no mailbox keeps one so long
            await self._again(job, structs.replace(step, command=None), "the device has not fetched it for two days")
        else:
            await self._ended(step, Step.FAILED, reason=f"the command ended: {outcome.value}")

    async def _again(self, job: DeviceJob, step: JobStep, reason: str) -> None:
        """Later, twice as long each time, by chance up to half of it less."""
        pause_us = min(self._pause_us * 2 ** min(step.tries, 20), LONGEST_PAUSE_US)
        now_us = self._exchange.wall_now()
        next_us = now_us + round(pause_us * self._rng.uniform(0.5, 1.0))
        if next_us >= job.until_us:
            next_us = job.until_us
        waiting = structs.replace(
            step, step=Step.PENDING, tries=step.tries + 1, next_us=next_us, changed_us=now_us, reason=reason
        )
        await self._put(waiting)

    async def _ended(self, step: JobStep, how: Step, *, answer: JsonObject | None = None, reason: str = "") -> None:
        now_us = self._exchange.wall_now()
        tries = step.tries + 1
        await self._put(structs.replace(step, step=how, tries=tries, changed_us=now_us, answer=answer, reason=reason))

    def _put(self, step: JobStep) -> "asyncio.Future[bool]":
        return self._exchange.write(lambda: self._exchange.devices.put_job_step(step))


def _place(step: JobStep) -> tuple[str, str]:
    return step.job, step.address.device


def job_query(condition: str) -> str:
    """The query that finds a job's devices: its condition may be a whole WHERE, or nothing."""
    where = condition.strip()
    if where in ("", "*"):
        return "SELECT * FROM devices"
    return f"SELECT * FROM devices WHERE {where.removeprefix('WHERE ').removeprefix('where ')}"


def check_job(job: DeviceJob) -> None:
    """Raises BadInput for a job that could never be done."""
    if job.devices is None:
        parse_query(job_query(job.condition))
    elif not 1 <= len(job.devices) <= MOST_DEVICES:
        raise BadInput(f"job: expected 1 to {MOST_DEVICES} devices", reason="job")
    if job.kind is JobKind.METHOD:
        parse_call(msgspec.json.encode(job.body))
    elif job.kind is JobKind.TWIN:
        wanted = parse_service_twin(job.body)
        if wanted.tags is None and wanted.desired is None and not wanted.emptied:
            raise BadInput("job: expected tags or properties.desired in updateTwin", reason="job")
    else:
        name: Json = job.body.get("command")
        if not isinstance(name, str) or not name:
            raise BadInput('job: expected a command such as {"command": "prompt"}', reason="job")
