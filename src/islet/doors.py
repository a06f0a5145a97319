"""The doors of a process: what devices, people and programs connect to. Opened one after the other, closed in reverse."""

import asyncio
import contextlib
import random
import secrets
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from islet.alarms import Alarms
from islet.clock import wall_us
from islet.decode.telemetry import warm_up as decoder_warm_up
from islet.engine.rulebook import RuleBook
from islet.erasure.patients import Holders, erase_patient
from islet.gateways.authenticate import Authenticator, TurnAway
from islet.gateways.certificates import CertificatePaths, server_ssl_context
from islet.gateways.claims import make_claim
from islet.gateways.client_certificates import Trusted, take_client_certificates
from islet.gateways.configurations import Configurations
from islet.gateways.device_jobs import JobRunner
from islet.gateways.enrollments import Enrollments
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.http import routes as device_routes
from islet.gateways.http import upload_routes
from islet.gateways.http_nightscout_v3 import app_routes
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.gateways.nightscout_apps import NightscoutApps
from islet.gateways.registering import Registrar
from islet.gateways.registry_files import RegistryFiles
from islet.gateways.twin_changes import TwinChanges
from islet.gateways.websocket import AMQP, MQTT, websocket_routes
from islet.log.base import Log
from islet.log.group_commit import GroupCommit
from islet.log.partitioning import warm_up as log_warm_up
from islet.menu import plug
from islet.model.time import MINUTE_US, Now
from islet.operations.http_server import HttpListener
from islet.operations.metrics import CountsCollector, Metrics
from islet.settings import Settings
from islet.store.base import Registry, Store
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Address, Devices
from islet.web.addresses import parse_networks
from islet.web.app import application as portal
from islet.web.context import WebAlarms, WebContext, WebDevices
from islet.web.live import LiveHub
from islet.web.oidc import provider_of
from islet.web.uploads import Uploads


def _nobody_waits(_: Address) -> None:
    """In a process without devices' doors: whose process has them looks when the device asks."""


@dataclass(kw_only=True)
class Doors:
    """What the doors need of a process. `open` opens those of its roles and settings."""

    settings: Settings
    certificates: CertificatePaths
    metrics: Metrics
    now: Now
    log: Log
    store: Store
    registry: Registry
    devices: Devices
    device_files: DeviceFiles
    commit: GroupCommit
    rules: RuleBook
    alarms: Alarms | None
    turned_away: TurnAway
    app: Starlette | None = field(default=None, init=False)
    """What is answered over HTTP, at the last of its ports; known once they are open."""
    _trusted: tuple[Trusted, ...] = field(default=(), init=False)
    _uploads: Uploads | None = field(default=None, init=False)
    _link_stops: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list, init=False)
    _command_waits: Callable[[Address], object] = field(default=_nobody_waits, init=False)

    async def open(self, stack: contextlib.AsyncExitStack, routes: list[BaseRoute]) -> None:
        """Open them; `stack` closes them. `routes` are answered over HTTP beside those of the doors themselves."""
        if "gateway" in self.settings.roles:
            routes = [*routes, *await self._open_gateway(stack)]
        await self._open_http(stack, routes)

    async def _open_gateway(self, stack: contextlib.AsyncExitStack) -> list[BaseRoute]:
        settings = self.settings
        await asyncio.to_thread(decoder_warm_up)
        await asyncio.to_thread(log_warm_up)
        soon = asyncio.get_running_loop().call_soon_threadsafe
        intake = Intake(
            self.commit,
            soon,
            future_us=round(settings.future_min * MINUTE_US),
            keeps_messages=settings.event_hub == "on",
        )
        authenticator = Authenticator(self.registry, settings.hub_name, wall_us, self.devices, self.turned_away)
        exchange = self._open_exchange(stack, authenticator)
        loop = asyncio.get_running_loop()
        self._command_waits = lambda to: loop.call_soon_threadsafe(exchange.command_waits, to)
        jobs = JobRunner(exchange, self.registry, random.Random(secrets.randbits(64)))
        stack.push_async_callback(jobs.close)
        configurations = Configurations(exchange, self.registry)
        stack.push_async_callback(configurations.close)
        enrollments = Enrollments(self.registry, settings.id_scope, wall_us)
        registrar = Registrar(enrollments, exchange, settings.hub_name)
        faults = settings.fault_injection == "on"
        mqtt = MqttServer(intake, authenticator, exchange, registrar=registrar, fault_injection=faults)
        device_tls = server_ssl_context(self.certificates)
        self._trusted = (authenticator, enrollments)
        take_client_certificates(device_tls, *self._trusted)
        await self._open_mqtt(stack, device_tls, mqtt)
        tunnelled: dict[str, Callable[[], asyncio.Protocol]] = {MQTT: mqtt.connection}
        if settings.amqp_tls_port:
            tunnelled[AMQP] = await self._open_amqp(stack, device_tls, intake, authenticator, exchange, registrar)
        self.metrics.watch(CountsCollector("intake", "Events taken in, refused and failed.", intake.counts))
        files = RegistryFiles(settings.data_dir / "registry-files")
        is_connected, registry = mqtt.is_connected, self.registry
        paths = device_routes(
            intake, authenticator, registry, self.now, is_connected, exchange, jobs, files, configurations, registrar
        )
        uploads = upload_routes(authenticator, self.device_files, self.now)
        nightscout = self._nightscout_routes(intake, authenticator, exchange)
        return [*paths, *uploads, *nightscout, *websocket_routes(tunnelled)]

    def _nightscout_routes(self, intake: Intake, authenticator: Authenticator, exchange: Exchange) -> list[BaseRoute]:
        apps = NightscoutApps(authenticator, self.registry, exchange.presence, wall_us)
        routes: list[BaseRoute] = [*app_routes(intake, authenticator, apps, self.store, self.now)]
        if self.settings.nightscout_sockets == "on":
            sockets = plug("gateway", "nightscout")(authenticator, apps, self.store, self.now)
            self._link_stops.append(sockets.stop)
            routes += sockets.routes()
        return routes

    def _open_exchange(self, stack: contextlib.AsyncExitStack, authenticator: Authenticator) -> Exchange:
        changes = self._twin_changes(authenticator)
        exchange = Exchange(self.devices, wall_us, changes, lambda device: self.registry.device(device) is not None)
        stack.push_async_callback(exchange.close)
        return exchange

    async def _open_mqtt(self, stack: contextlib.AsyncExitStack, tls: ssl.SSLContext, mqtt: MqttServer) -> None:
        settings = self.settings
        stack.push_async_callback(mqtt.stop)
        self._link_stops.append(mqtt.stop)
        if settings.mqtt_tls_port:
            await mqtt.listen(settings.host, settings.mqtt_tls_port, tls)
        if settings.mqtt_plain_port:
            await mqtt.listen(settings.host, settings.mqtt_plain_port)
        self.metrics.watch(CountsCollector("mqtt", "Connected and refused devices.", mqtt.counts, grows=False))

    def _twin_changes(self, authenticator: Authenticator) -> TwinChanges | None:
        if self.settings.event_hub == "off":
            return None
        changes = TwinChanges(self.commit, authenticator.patient_of, self.settings.hub_name, wall_us)
        sentence = "Changes of twins that were told to readers of devices' messages, or failed, or were dropped."
        self.metrics.watch(CountsCollector("twin_changes", sentence, changes.counts))
        return changes

    async def _open_amqp(
        self,
        stack: contextlib.AsyncExitStack,
        tls: ssl.SSLContext,
        intake: Intake,
        authenticator: Authenticator,
        exchange: Exchange,
        registrar: Registrar,
    ) -> Callable[[], asyncio.Protocol]:
        """What makes a connection's protocol, for tunnels."""
        settings = self.settings
        event_hub = EventHub(self.log, wall_us) if settings.event_hub == "on" else None
        if event_hub is not None:
            stack.push_async_callback(event_hub.close)
        faults = settings.fault_injection == "on"
        amqp = plug("gateway", "amqp")(
            intake,
            authenticator,
            exchange,
            event_hub=event_hub,
            registrar=registrar,
            device_files=self.device_files,
            fault_injection=faults,
        )
        stack.push_async_callback(amqp.stop)
        self._link_stops.append(amqp.stop)
        await amqp.listen(settings.host, settings.amqp_tls_port, tls)
        self.metrics.watch(CountsCollector("amqp", "Connections, and refusals.", amqp.counts, grows=False))
        connection: Callable[[], asyncio.Protocol] = amqp.connection
        return connection

    async def _open_http(self, stack: contextlib.AsyncExitStack, routes: list[BaseRoute]) -> None:
        settings = self.settings
        live = LiveHub(self.log, self.registry, self.now) if "web" in settings.roles else None
        self._uploads = None if live is None else self._open_uploads(stack)
        https_tls = server_ssl_context(self.certificates)
        if settings.https_client_certificates == "asked" and self._trusted:
            take_client_certificates(https_tls, *self._trusted)
        ports = (
            (settings.https_port, https_tls),
            (settings.http_plain_port, None),
        )
        listeners = []
        for port, tls in ports:
            if port:
                app = Starlette(routes=routes)
                if live is not None:
                    context = self._web_context(live, secure=tls is not None)
                    app = portal(context, routes)
                self.app = app
                listener = HttpListener(app, settings.host, port, tls)
                await listener.start()
                stack.push_async_callback(listener.stop)
                listeners.append(listener)
        for stop in self._link_stops:  # devices hear through a WebSocket, too, that the server stops, before it is cut
            stack.push_async_callback(stop)
        for listener in listeners:
            stack.callback(listener.close)
        if live is not None:
            stack.callback(live.close)  # ends before the listeners, or open streams would keep them waiting

    def _open_uploads(self, stack: contextlib.AsyncExitStack) -> Uploads:
        uploads = Uploads(
            self.log,
            self.commit.commit,
            self.now,
            folder=self.settings.data_dir / "uploads",
            most_bytes=round(self.settings.upload_most_mb * 1e6),
        )
        stack.callback(uploads.close)
        return uploads

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
            uploads=self._uploads,
            device_files=self.device_files,
            wall=wall_us,
            provider=provider_of(self.settings, wall_us),
            public_url=self.settings.public_url,
            turned_away=self.turned_away,
            proxies=parse_networks(self.settings.trusted_proxies),
            devices=self._web_devices(),
            erase=self._erase if self.alarms is not None else None,
        )

    def _erase(self, patient: str, by: str) -> None:
        assert self.alarms is not None
        holders = Holders(
            registry=self.registry,
            store=self.store,
            outbox=self.alarms.outbox,
            devices=self.devices,
            files=self.device_files,
        )
        erase_patient(holders, patient, by=by, at_us=self.now())

    def _web_devices(self) -> WebDevices:
        return WebDevices(
            hub_name=self.settings.hub_name,
            jobs=self.devices,
            mailboxes=self.devices,
            twins=self.devices,
            activities=self.devices,
            waits=self._command_waits,
            claim=self._claim,
            wall_now=wall_us,
        )

    def _claim(self, device: str, patient: str, by: str) -> str:
        return make_claim(self.registry, device, patient, by=by, now_us=wall_us())

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
