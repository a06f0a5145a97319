"""The only wirer, and the only reader of the clock: settings in, a running platform out."""

import asyncio
import contextlib
import functools
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Iterator

import structlog
import uvloop
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from islet.alarms import Alarms, Heart
from islet.decode.telemetry import warm_up as decoder_warm_up
from islet.engine.backfill import BackfillFollower
from islet.engine.clocks import ClockWatch
from islet.engine.embedded import EmbeddedEngine
from islet.engine.lookback import evaluation
from islet.engine.rulebook import RuleBook
from islet.gateways.authenticate import Authenticator, ensure_policy_keys
from islet.gateways.certificates import ensure_certificates, server_ssl_context
from islet.gateways.client_certificates import take_client_certificates
from islet.gateways.enrollments import Enrollments
from islet.gateways.exchange import Exchange
from islet.gateways.http import routes as device_routes
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.gateways.websocket import AMQP, MQTT, websocket_routes
from islet.jobs.shipped import shipped
from islet.log.base import CursorMove, Log
from islet.log.group_commit import GroupCommit
from islet.log.keys import data_key
from islet.menu import plug
from islet.model.time import DAY_US, MINUTE_US, Now
from islet.model.topics import Topic
from islet.opened import opened_devices, opened_log, opened_registry, opened_store
from islet.operations import logs
from islet.operations.http_server import HttpListener
from islet.operations.locks import only_one
from islet.operations.metrics import CountsCollector, LogCollector, Metrics, WorkerCollector
from islet.operations.routes import routes as operations_routes
from islet.operations.workers import Worker
from islet.settings import Settings
from islet.store.base import Registry, Store
from islet.store.devices_base import Devices
from islet.store.follow import Follower
from islet.web.addresses import parse_networks
from islet.web.app import middleware as web_middleware
from islet.web.app import routes as web_routes
from islet.web.context import WebAlarms, WebContext
from islet.web.live import LiveHub
from islet.web.oidc import provider_of

_log = structlog.get_logger("islet.app")
_CLOCK_WARNING_US = 5 * MINUTE_US  # data of a demonstration served at life's speed, or the machine's clock is wrong
_IDLE_S = 0.25
_JOBS_LOOK_S = 1.0
_STORE_PACE_S = 0.1  # the portal's live values come from the log; the store may be this far behind


def wall_us() -> int:
    """The wall's clock. Credentials and certificates are checked against it, whatever the platform's clock says."""
    return time.time_ns() // 1000


def clock(speed: float, not_before_us: int) -> Now:
    """The platform's clock: the wall's, or `speed` times as fast, then beginning no earlier than the log's newest entry,
    so that a demonstration goes on where it ended."""
    if speed == 1.0:
        return wall_us
    began_ns = time.monotonic_ns()
    began_us = max(wall_us(), not_before_us)
    return lambda: began_us + int((time.monotonic_ns() - began_ns) * speed) // 1000


class Platform:
    """All parts of one process, wired. `run` serves until `stop` is called, then drains."""

    def __init__(self, settings: Settings, log: Log, store: Store, registry: Registry, devices: Devices) -> None:
        self.settings, self.log, self.store, self.registry, self.devices = settings, log, store, registry, devices
        newest_us = log.newest_received_us()
        self.now = clock(settings.speed, newest_us)
        if newest_us > self.now() + _CLOCK_WARNING_US:
            _log.warning("clock_behind_log", minutes=(newest_us - self.now()) // MINUTE_US)
        self.certificates = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
        ensure_policy_keys(registry)
        self.commit = GroupCommit(log, self.now, wait_s=settings.commit_wait_ms / 1000)
        self.rules = RuleBook(registry)
        self.metrics = Metrics()
        self.workers: list[Worker] = []
        self.accepting = False
        self.app: Starlette | None = None
        """What is answered over HTTP, at the last of its ports; known once it runs."""
        self._stopping = asyncio.Event()
        self.alarms: Alarms | None = None
        self._heart = Heart(settings.data_dir / "engine.tick", wall_us)
        self._cursors: Callable[[], list[CursorMove]] = list
        if {"notify", "web"} & set(settings.roles):
            self._add_alarms()
        parts = {"store": self._add_store, "engine": self._add_engine, "notify": self._add_notify}
        for role in settings.roles:
            parts.get(role, lambda: None)()
        self._watch()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    # the parts

    def _add_store(self) -> None:
        follower = Follower(self.log, self.store)

        def follow() -> None:
            if follower.run_once(_IDLE_S):
                time.sleep(_STORE_PACE_S)

        def keep_house() -> None:
            self.log.compact()
            self.log.expire(self._kept_from_us())
            self._pause(self.settings.compact_every_s)

        self._cursors = follower.cursors
        self.workers += [Worker("store", follow), Worker("housekeeping", keep_house)]
        self._add_jobs()

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
            self.rules.current,
            self.settings,
            self.now,
            observe=lambda seconds: self.metrics.alert_latency_s.observe(seconds / self.settings.speed),
        )

        def step() -> None:
            engine.run_once(_IDLE_S)
            self._heart.beat()

        self.workers.append(Worker("engine", step, before=engine.recover, after=engine.close))
        self.metrics.watch(CountsCollector("engine", "What the engine has done.", engine.counters.counts))

    def _add_followers(self) -> None:
        """What the engine leaves to the slower: history that came late, and devices whose clock is wrong."""
        lateness_us = int(self.settings.lateness_min * MINUTE_US)
        evaluate = evaluation(self.store, self.rules.current)
        backfill = BackfillFollower(self.log, self.store, self.commit, evaluate, self.now, lateness_us=lateness_us)
        clocks = ClockWatch(self.log, self.store, self.commit, self.now)
        for name, follower in (("backfill", backfill), ("clocks", clocks)):
            self.workers.append(Worker(name, functools.partial(follower.run_once, _IDLE_S)))
        self.metrics.watch(CountsCollector("backfill", "History that came late.", backfill.counts, grows=False))

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
        )
        self.metrics.watch(CountsCollector("outbox", "Messages by state.", alarms.outbox.counts, grows=False))

    def _add_notify(self) -> None:
        assert self.alarms is not None
        self.workers.append(Worker("notify", self.alarms.tell))
        if self.alarms.listens:
            self.workers.append(Worker("answers", self.alarms.listen))

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
            routes = operations_routes(self.metrics, self.failing, self.starting, now=self.now, speed=speed)
            if "gateway" in self.settings.roles:
                routes += await self._open_gateway(stack)
            await self._open_http(stack, routes)
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

    async def _open_gateway(self, stack: contextlib.AsyncExitStack) -> list[BaseRoute]:
        settings = self.settings
        await asyncio.to_thread(decoder_warm_up)
        soon = asyncio.get_running_loop().call_soon_threadsafe
        intake = Intake(self.commit, soon, future_us=round(settings.future_min * MINUTE_US))
        authenticator = Authenticator(self.registry, settings.hub_name, wall_us, self.devices)
        exchange = Exchange(self.devices, wall_us)
        stack.push_async_callback(exchange.close)
        enrollments = Enrollments(self.registry, settings.id_scope, wall_us)
        mqtt = MqttServer(intake, authenticator, exchange, enrollments=enrollments)
        stack.push_async_callback(mqtt.stop)
        device_tls = server_ssl_context(self.certificates)
        take_client_certificates(device_tls, authenticator, enrollments)
        if settings.mqtt_tls_port:
            await mqtt.listen(settings.host, settings.mqtt_tls_port, device_tls)
        if settings.mqtt_plain_port:
            await mqtt.listen(settings.host, settings.mqtt_plain_port)
        tunnelled = {MQTT: mqtt.connection}
        if settings.amqp_tls_port:
            amqp = plug("gateway", "amqp")(intake, authenticator, exchange)
            stack.push_async_callback(amqp.stop)
            await amqp.listen(settings.host, settings.amqp_tls_port, device_tls)
            tunnelled[AMQP] = amqp.connection
            self.metrics.watch(CountsCollector("amqp", "Connections, and refusals.", amqp.counts, grows=False))
        self.metrics.watch(CountsCollector("intake", "Events taken in, refused and failed.", intake.counts))
        self.metrics.watch(CountsCollector("mqtt", "Connected and refused devices.", mqtt.counts, grows=False))
        paths = device_routes(intake, authenticator, self.registry, self.now, mqtt.is_connected, exchange)
        return [*paths, *websocket_routes(tunnelled)]

    async def _open_http(self, stack: contextlib.AsyncExitStack, routes: list[BaseRoute]) -> None:
        settings = self.settings
        live = LiveHub(self.log, self.registry, self.now) if "web" in settings.roles else None
        ports = (
            (settings.https_port, server_ssl_context(self.certificates)),
            (settings.http_plain_port, None),
        )
        for port, tls in ports:
            if port:
                app = Starlette(routes=routes)
                if live is not None:
                    context = self._web_context(live, secure=tls is not None)
                    app = Starlette(routes=[*routes, *web_routes(context)], middleware=web_middleware(context))
                self.app = app
                listener = HttpListener(app, settings.host, port, tls)
                await listener.start()
                stack.push_async_callback(listener.stop)
        if live is not None:
            stack.callback(live.close)  # ends before the listeners, or open streams would keep them waiting

    def _web_context(self, live: LiveHub, *, secure: bool) -> WebContext:
        return WebContext(
            store=self.store,
            registry=self.registry,
            log=self.log,
            commit=self.commit,
            live=live,
            now=self.now,
            speed=self.settings.speed,
            secure=secure,
            session_h=self.settings.session_h,
            rules=self.rules,
            alarms=self._web_alarms(),
            wall=wall_us,
            provider=provider_of(self.settings, wall_us),
            public_url=self.settings.public_url,
            proxies=parse_networks(self.settings.trusted_proxies),
        )

    def _web_alarms(self) -> WebAlarms | None:
        alarms = self.alarms
        if alarms is None:
            return None
        return WebAlarms(
            outbox=alarms.outbox,
            book=alarms.book,
            channels=tuple(alarms.channels.opens),
            check=alarms.channels.check,
            push_key=alarms.channels.push_key,
            received=alarms.received,
        )

    async def _stop_workers(self) -> None:
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            if not await asyncio.to_thread(worker.join):
                _log.error("worker_did_not_stop", worker=worker.name)
        if self.alarms is not None:
            await asyncio.to_thread(self.alarms.close)
        await asyncio.to_thread(self.commit.close)


@contextlib.contextmanager
def opened_platform(settings: Settings) -> Iterator[Platform]:
    """A platform on a data directory; everything is closed at the end."""
    logs.configure(settings.log_level, settings.log_format)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        only_one(settings.data_dir, settings.roles),
        opened_log(settings) as log,
        opened_store(settings) as store,
        opened_registry(settings) as registry,
        opened_devices(settings) as devices,
    ):
        yield Platform(settings, log, store, registry, devices)


def run_until_signal(platform: Platform, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> None:
    """Run a platform until SIGINT or SIGTERM."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, platform.stop)
        await platform.run(beside)

    uvloop.run(run())
