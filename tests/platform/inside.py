"""A platform in the test's own process, so that what it serves can be asked for; with people, devices and data."""

import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from starlette.applications import Starlette

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import make_token, new_key
from islet.app import Platform, opened_platform
from islet.clock import wall_us
from islet.log.base import Append
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change
from islet.model.people import Device, Patient, Role, User
from islet.model.time import DAY_US, MINUTE_US
from islet.model.topics import Topic
from islet.settings import Settings
from islet.store.consents import set_consent
from islet.store.follow import Follower
from islet.web.research import MASKING_KEY
from tests.platform.process import free_port

HASH = hash_password("correct horse battery staple")
_VERSION = {"api-version": "2021-04-12"}
PROVIDERS = importlib.util.find_spec("joserfc") is not None
"""Whether people can log in through a provider; none is reached here."""
SOCKETS = importlib.util.find_spec("socketio") is not None
"""Whether Nightscout's web sockets can be served."""
HUB = "hub.example"
MARKS = {"p-1": ("Ada Example", "cgm-1", 1117), "p-2": ("Ben Secret", "cgm-2", 2873)}
"""Of each patient what nobody else may see: the name, the device, and a reading (tenths of mg/dL) of their own."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A running platform, and how to come in as somebody."""

    platform: Platform
    http_port: int
    mqtt_port: int
    amqp_port: int

    @property
    def app(self) -> Starlette:
        assert self.platform.doors is not None
        assert self.platform.doors.app is not None
        return self.platform.doors.app

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def client(self, token: str = "", *, scheme: str = "Bearer") -> httpx.AsyncClient:
        """Somebody with that bearer token (or, without a scheme, with that SAS token)."""
        headers = {"authorization": f"{scheme} {token}".strip()} if token else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=self.url, headers=headers, params=_VERSION, verify=False
        )

    def session(self, user: str) -> str:
        token = new_token()
        self.platform.registry.create_session(token_hash(token), user, self.platform.now() + DAY_US)
        return token

    def policy_token(self, policy: str) -> str:
        key = self.platform.registry.secret(f"policy/{policy}") or ""
        return make_token(HUB, key, wall_us() // 1_000_000 + 600, policy)

    def device_token(self, id: str) -> str:
        device = self.platform.registry.device(id)
        assert device is not None
        return make_token(f"{HUB}/devices/{id}", device.primary_key, wall_us() // 1_000_000 + 600)

    def alert(self, patient: str) -> str:
        """The id of the alert that the patient has."""
        (found,) = self.platform.store.alerts([patient])
        return found.id


async def inside(folder: Path, visit: Callable[[Inside], Awaitable[None]]) -> None:
    """Run a platform with one user of each role (named like it, of p-1), a care partner whom p-1 has not answered yet, and two patients; then `visit` it."""
    http, mqtt, amqp = free_port(), free_port(), free_port()
    settings = replace(
        Settings(),
        data_dir=folder,
        roles=("gateway", "web"),
        host="127.0.0.1",
        hub_name=HUB,
        https_port=0,
        http_plain_port=http,
        mqtt_tls_port=0,
        mqtt_plain_port=mqtt,
        amqp_tls_port=amqp,
        event_hub="on",
        log_level="error",
        nightscout_sockets="on" if SOCKETS else "off",
        oidc_issuer="http://127.0.0.1:9" if PROVIDERS else "",
    )
    with opened_platform(settings) as platform:
        _fill(platform)
        one = Inside(platform=platform, http_port=http, mqtt_port=mqtt, amqp_port=amqp)

        async def company() -> None:
            await visit(one)
            platform.stop()

        await platform.run(company)


def _fill(platform: Platform) -> None:
    registry, now_us = platform.registry, platform.now()
    registry.put_secret(MASKING_KEY, "5a" * 32)
    for role in Role:
        if role is not Role.DEVICE:
            registry.put_user(User(name=role.value, role=role, password_hash=HASH, patients=("p-1",)))
    registry.put_user(User(name="asked", role=Role.CARE_PARTNER, password_hash=HASH, patients=("p-1",)))
    registry.put_user(User(name="gone", role=Role.ADMINISTRATOR, password_hash=HASH, enabled=False))
    for patient, (label, device, tenths) in MARKS.items():
        registry.put_patient(Patient(id=patient, label=label, tags=("t1",)))
        registry.create_device(Device(id=device, patient=patient, primary_key=new_key()))
        rows = [ReadingRow(patient, device, now_us - i * 5 * MINUTE_US, tenths, tenths / 10, 0, 0, 0) for i in range(3)]
        platform.commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])
        change = AlertChange(
            change="opened",
            rule="high",
            patient=patient,
            onset_us=now_us,
            at_us=now_us,
            severity=Severity.WARNING,
            glucose_tenths=tenths,
        )
        row = DocumentRow(patient, device, now_us, "opened", encode_change(change).decode())
        platform.commit.commit(appends=[Append(topic=Topic.ALERTS, batch=documents_batch([row]))])
    set_consent(registry, Role.CARE_PARTNER, "p-1", given=True, by="p-1", at_us=now_us)
    follower = Follower(platform.log, platform.store)
    while follower.run_once(0.0):
        pass
