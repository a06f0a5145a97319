"""The only wirer: settings in, a running platform out."""

import asyncio
import contextlib
import functools
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import structlog
import uvloop

from islet.alarms import Alarms, Heart
from islet.apart import ApartJob
from islet.clock import clock, wall_us
from islet.doors import Doors
from islet.engine.backfill import BackfillFollower
from islet.engine.clocks import ClockWatch
from islet.engine.drift import DriftWatch
from islet.engine.embedded import CONSUMER as ENGINE
from islet.engine.embedded import EmbeddedEngine
from islet.engine.in_force import forecasting
from islet.engine.lookback import evaluation
from islet.engine.rulebook import RuleBook
from islet.erasure.patients import finish_erasures
from islet.errors import SettingError
from islet.gateways.certificates import ensure_certificates
from islet.jobs.shipped import shipped
from islet.log.base import CursorMove, Log
from islet.log.group_commit import GroupCommit
from islet.log.keys import data_key
from islet.model.time import DAY_US, MINUTE_US
from islet.model.topics import Topic
from islet.opened import (
    opened_device_files,
    opened_devices,
    opened_holders,
    opened_log,
    opened_registry,
    opened_store,
)
from islet.operations import garbage, logs, open_files
from islet.operations.locks import only_one
from islet.operations.metrics import CountsCollector, ForecastCollector, LogCollector, Metrics, WorkerCollector
from islet.operations.routes import routes as operations_routes
from islet.operations.workers import Worker
from islet.settings import Settings
from islet.store.base import Registry, Store
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Devices
from islet.store.follow import Follower
from islet.store.hub_policies import ensure_policy_keys
from islet.store.turned_away import TurnedAway

_log = structlog.get_logger("islet.app")
_CLOCK_WARNING_US = 5 * MINUTE_US  # data of a demonstration served at life's speed, or the machine's clock is wrong
_IDLE_S = 0.25
_JOBS_LOOK_S = 1.0
_HOUSE_LOOK_S = 1.0
_TRAIL_LOOK_S = 1.0
_PACE_S = 0.1  # followers take in what has come meanwhile at once; the portal's live values come from the log


class Platform:
    """All parts of one process, wired. `run` serves until `stop` is called, then drains."""

    def __init__(
        self, settings: Settings, log: Log, store: Store, registry: Registry, devices: Devices, files: DeviceFiles
    ) -> None:
        self.settings, self.log, self.store, self.registry, self.devices = settings, log, store, registry, devices
        self.device_files = files
        newest_us = log.newest_received_us()
        self.now = clock(settings.speed, newest_us)
        if newest_us > self.now() + _CLOCK_WARNING_US:
            _log.warning("clock_behind_log", minutes=(newest_us - self.now()) // MINUTE_US)
        self.certificates = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
        ensure_policy_keys(registry)
        self.commit = GroupCommit(log, self.now, within_s=settings.commit_within_ms / 1000)
        self.rules = RuleBook(registry)
        self.metrics = Metrics()
        self.workers: list[Worker] = []
        self.accepting = False
        self.doors: Doors | None = None
        self._stopping = asyncio.Event()
        self.alarms: Alarms | None = None
        self._heart = Heart(settings.data_dir / "engine.tick", wall_us)
        self._cursors: Callable[[], list[CursorMove]] = list
        self._turned_away = TurnedAway(registry, self.now)
        if {"notify", "web"} & set(settings.roles):
            self._add_alarms()
        parts = {"store": self._add_store, "engine": self._add_engine, "notify": self._add_notify}
        for role in settings.roles:
            parts.get(role, lambda: None)()
        if {"gateway", "web"} & set(settings.roles):
            self._add_trail()
        self._watch()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    # the parts

    def _add_store(self) -> None:
        follower = Follower(self.log, self.store)

        due_s = 0.0

        def keep_house() -> None:
            nonlocal due_s
            if time.monotonic() < due_s:  # a step of its own: one that has failed is well again once the work is done
                self._pause(min(self.settings.compact_every_s, _HOUSE_LOOK_S))
                return
            self.log.compact()
            self.log.expire(self._kept_from_us())
            self.device_files.tidy(wall_us(), wall_us() - round(self.settings.retention_days * DAY_US))
            self._finish_erasures()
            due_s = time.monotonic() + self.settings.compact_every_s

        self._cursors = follower.cursors
        self.workers += [Worker("store", _paced(follower.run_once)), Worker("housekeeping", keep_house)]
        self._add_jobs()

    def _finish_erasures(self) -> None:
        with contextlib.ExitStack() as stack:
            finish_erasures(lambda: stack.enter_context(opened_holders(self.settings)), self.registry, wall_us())

    def _add_jobs(self) -> None:
        settings, known = self.settings, self.log.end(Topic.GLUCOSE_READINGS)
        schedule = shipped(
            self.store,
            self.registry,
            self.rules.current,
            self.commit,
            self.now,
            zone=settings.jobs_time_zone,
            hour=settings.jobs_hour,
            stopping=self._stopping.is_set,
            alone=lambda: only_one(settings.data_dir, ["jobs"]),
            apart=lambda job: ApartJob(job, settings, self.registry.patient_count),
        )

        def look() -> None:
            applied = self.store.applied(Topic.GLUCOSE_READINGS, self.log.partitions)
            behind = any(done < end for done, end in zip(applied, known, strict=True))
            if behind or not schedule.run_due():  # days that the store has not read yet would be days without a sensor
                self._pause(_JOBS_LOOK_S)

        self.workers.append(Worker("jobs", look))
        self.metrics.watch(CountsCollector("jobs", "Nightly jobs that were done, and that failed.", schedule.counts))
        self.metrics.watch(CountsCollector("jobs_now", "What nightly jobs are doing.", schedule.gauges, grows=False))

    def _add_engine(self) -> None:
        if self.settings.engine == "embedded":
            self._add_embedded()
        self._add_followers()

    def _add_embedded(self) -> None:
        engine = EmbeddedEngine(
            self.log,
            self.commit,
            self.rules,
            self.settings,
            self.now,
            observe=lambda seconds: self.metrics.alert_latency_s.observe(seconds / self.settings.speed),
        )

        def step() -> None:
            engine.run_once(_IDLE_S)
            self._heart.beat()

        self.commit.accompany(engine)
        self.workers.append(Worker("engine", step, before=engine.recover, after=engine.close))
        self.metrics.watch(CountsCollector("engine", "What the engine has done.", engine.counters.counts))

    def _add_followers(self) -> None:
        """What the engine leaves to the slower: history that came late, and devices whose clock is wrong."""
        lateness_us = int(self.settings.lateness_min * MINUTE_US)
        evaluate = evaluation(self.store, self.rules.current)
        evaluated = functools.partial(self.log.cursor, ENGINE, Topic.GLUCOSE_READINGS)
        backfill = BackfillFollower(
            self.log,
            self.store,
            self.commit,
            evaluate,
            self.now,
            lateness_us=lateness_us,
            evaluated=evaluated if self.settings.engine == "embedded" else None,
        )
        clocks = ClockWatch(self.log, self.store, self.commit, self.now)
        for name, follower in (("backfill", backfill), ("clocks", clocks)):
            self.workers.append(Worker(name, _paced(follower.run_once)))
        self.metrics.watch(CountsCollector("backfill", "History that came late.", backfill.counts, grows=False))
        self._add_drift()

    def _add_drift(self) -> None:
        drift = DriftWatch(self.log, self.store, self.registry, self.devices, self.commit, self.now, self.rules.current)

        def look() -> None:
            if drift.is_due():
                drift.run_once()
            self._pause(_JOBS_LOOK_S)

        self.workers.append(Worker("drift", look))
        self.metrics.watch(ForecastCollector(lambda: drift.errors, lambda: forecasting(self.registry).model))

    def _add_alarms(self) -> None:
        """The outbox, which pages ask, too; it is worked off where the role notify is."""
        self.alarms = alarms = Alarms(
            self.settings,
            data_key(self.settings, os.environ),
            self.log,
            self.commit,
            self.registry,
            self.rules,
            self.now,
            wall=wall_us,
            rng=random.Random(secrets.randbits(64)),
            kept_from_us=self._kept_from_us,
            store=self.store,
        )
        self.metrics.watch(CountsCollector("outbox", "Messages by state.", alarms.outbox.counts, grows=False))

    def _add_notify(self) -> None:
        assert self.alarms is not None
        self.workers.append(Worker("notify", self.alarms.tell))
        if self.alarms.listens:
            self.workers.append(Worker("answers", self.alarms.listen))

    def _add_trail(self) -> None:
        """Whom the doors turn away, in the audit trail."""

        def write() -> None:
            self._turned_away.write()
            self._pause(_TRAIL_LOOK_S)

        self.workers.append(Worker("trail", write, after=lambda: self._turned_away.write(at_once=True)))

    def _watch(self) -> None:
        self.metrics.watch(LogCollector(self.log, self._cursors))
        self.metrics.watch(WorkerCollector(self.workers))
        writer = self.commit
        self.metrics.watch(
            CountsCollector(
                "writer",
                "Groups, rows and failures of the log's writer.",
                lambda: {"groups": writer.groups, "rows": writer.rows, "failures": writer.failures},
            )
        )

    def _kept_from_us(self) -> int:
        """What was received before this instant is let go."""
        return self.now() - round(self.settings.retention_days * DAY_US)

    def _pause(self, seconds: float) -> None:
        """Sleep in small pieces, so that a stop is not kept waiting."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.is_set():
            time.sleep(0.1)

    # running

    async def run(self, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> None:
        """Serve until `stop`; then stop accepting, acknowledge what is under way, let the workers finish, close.

        `beside` is run once the doors are open, and cancelled at the stop.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._stop_workers)
            for worker in self.workers:
                worker.start()
            speed = self.settings.speed
            readers = self.settings.metrics_networks
            routes = operations_routes(
                self.metrics, self.failing, self.starting, now=self.now, speed=speed, readers=readers
            )
            self.doors = Doors(
                settings=self.settings,
                certificates=self.certificates,
                metrics=self.metrics,
                now=self.now,
                log=self.log,
                store=self.store,
                registry=self.registry,
                devices=self.devices,
                device_files=self.device_files,
                commit=self.commit,
                rules=self.rules,
                alarms=self.alarms,
                turned_away=self._turned_away.count,
            )
            await self.doors.open(stack, routes)
            self.accepting = True
            _log.info("serving", roles=",".join(self.settings.roles))
            await self._until_stopped(beside)
            _log.info("stopping")
            self.accepting = False

    def failing(self) -> list[str]:
        """The parts that do not do their work."""
        ill = [worker.name for worker in self.workers if not worker.alive or worker.failing]
        return [*ill, "log writer"] if self.commit.failing else ill

    def starting(self) -> list[str]:
        """The parts that have not caught up with their past, or have closed their doors."""
        waiting = [worker.name for worker in self.workers if not worker.ready.is_set()]
        return waiting if self.accepting else [*waiting, "doors"]

    async def _until_stopped(self, beside: Callable[[], Coroutine[None, None, None]] | None) -> None:
        """Raises what the company raised, after having stopped."""
        stopped = asyncio.create_task(self._stopping.wait())
        if beside is None:
            await stopped
            return
        company = asyncio.create_task(beside())
        await asyncio.wait((stopped, company), return_when=asyncio.FIRST_COMPLETED)
        if company.done() and company.exception() is None:
            await stopped
        stopped.cancel()
        company.cancel()
        (outcome,) = await asyncio.gather(company, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _stop_workers(self) -> None:
        self._stopping.set()  # it is not where the doors could not be opened, and pauses end by it
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            if not await asyncio.to_thread(worker.join):
                _log.error("worker_did_not_stop", worker=worker.name)
        if self.alarms is not None:
            await asyncio.to_thread(self.alarms.close)
        await asyncio.to_thread(self.commit.close)


def _paced(follow: Callable[[float], int]) -> Callable[[], None]:
    """A worker's step of a follower of the log, which says how much it has read: at most ten times a second."""

    def step() -> None:
        if follow(_IDLE_S):
            time.sleep(_PACE_S)

    return step


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        raise SettingError(f"setting data_dir: expected a folder; {path} is a file") from None


@contextlib.contextmanager
def opened_platform(settings: Settings) -> Iterator[Platform]:
    """A platform on a data directory; everything is closed at the end."""
    logs.configure(settings.log_level, settings.log_format)
    _make_folder(settings.data_dir)
    with (
        only_one(settings.data_dir, settings.roles),
        opened_log(settings) as log,
        opened_store(settings) as store,
        opened_registry(settings) as registry,
        opened_devices(settings) as devices,
        opened_device_files(settings) as files,
    ):
        yield Platform(settings, log, store, registry, devices, files)


def run_until_signal(platform: Platform, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> None:
    """Run a platform until SIGINT or SIGTERM."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, platform.stop)
        await platform.run(beside)

    garbage.rarely()
    open_files.allow_as_many_as_may_be()
    uvloop.run(run())
