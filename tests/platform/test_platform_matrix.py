"""Every door of a whole platform is tried as everybody: nobody sees or changes what the matrix does not grant."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from islet.access.actions import Action
from islet.access.decide import decide, visible
from islet.access.doors import Credential, Door, Open, doors
from islet.access.masking import pseudonym
from islet.access.sas import POLICIES
from islet.decode.event_hub import ENTITY, RUNTIME
from islet.decode.iothub import Identity
from islet.decode.iothub_amqp import _OWN, _SERVICE
from islet.model.people import Kind, Principal, Role
from islet.model.time import DAY_US
from islet.model.topics import Topic
from islet.store.grants import make_key
from islet.store.principals import Principals
from islet.web.research import MASKING_KEY
from tests.platform.inside import MARKS, PROVIDERS, SOCKETS, Inside, inside

NOBODY = Principal(kind=Kind.USER, name="nobody")


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody with a credential, and for which doors it is one."""

    name: str
    token: str
    principal: Principal
    credential: Credential
    device: str = ""

    @property
    def scheme(self) -> str:
        return "Bearer" if self.credential is Credential.PORTAL else ""


def visitors(one: Inside) -> list[Visitor]:
    registry, now_us = one.platform.registry, one.platform.now()
    principals = Principals(registry)
    found = [Visitor(name="nobody", token="", principal=NOBODY, credential=Credential.NONE)]
    for user in registry.users():
        principal = principals.of_user(user, now_us) if user.enabled else NOBODY
        held = Credential.PORTAL if user.enabled else Credential.NONE
        found.append(Visitor(name=user.name, token=one.session(user.name), principal=principal, credential=held))
        if user.role is Role.APPLICATION:
            scope = (Action.CONSUME_LOG.value,)
            _, key = make_key(registry, user.name, now_us + DAY_US, scope, "", by="test", at_us=now_us)
            narrowed = principals.of_user(user, now_us, scope)
            found.append(Visitor(name="key", token=key, principal=narrowed, credential=Credential.PORTAL))
    for policy, rights in POLICIES.items():
        principal = Principal(kind=Kind.SERVICE, name=policy, rights=rights)
        held = Credential.HUB
        found.append(Visitor(name=policy, token=one.policy_token(policy), principal=principal, credential=held))
    for device in registry.devices():
        principal = principals.of_device(device, now_us)
        token, held = one.device_token(device.id), Credential.DEVICE
        found.append(Visitor(name=device.id, token=token, principal=principal, credential=held, device=device.id))
    return found


def addresses(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of each route; the same with a slash at the end is the same."""
    for route in routes:
        if isinstance(route, Route):
            path = route.path.rstrip("/") or "/"
            yield from ((method, path) for method in (route.methods or ()) if method != "HEAD")
        elif isinstance(route, WebSocketRoute):
            path = route.path.rstrip("/")
            yield from ((name, path) for name in (("socket.io",) if path == "/socket.io" else ("MQTT", "AMQPWSB10")))
        else:
            assert isinstance(route, Mount), f"a kind of route that this test does not know: {route}"
            yield "GET", route.path


def may(visitor: Visitor, door: Door, patient: str) -> bool:
    """What the matrix says, of a door that asks for a decision or a log-in."""
    fits = visitor.credential is door.credential
    if door.credential is Credential.DEVICE:
        fits = visitor.device == MARKS[patient][1] or visitor.credential is Credential.HUB
    if not fits or not isinstance(door.needs, Action):
        kinds = {Open.KEY: visitor.name == "key", Open.SELF: visitor.name != "key"}
        return fits and (isinstance(door.needs, Action) or kinds.get(door.needs, True))
    return decide(visitor.principal, door.needs, patient if door.about else None).allowed


def path_of(one: Inside, door: Door, patient: str) -> str:
    id = MARKS[patient][1]
    if "/patients/" in door.address:
        id = patient
    elif "/alerts/" in door.address:
        id = one.alert(patient)
    name = pseudonym(bytes.fromhex(one.platform.registry.secret(MASKING_KEY) or "00"), patient)
    box = "servicebound" if "feedback" in door.address else "devicebound"
    topic, number = Topic.GLUCOSE_READINGS.value, "1"
    fields = {"id": id, "tag": "t1", "topic": topic, "number": number, "pseudonym": name, "box": box}
    fields |= {"kind": "seven-day", "form": "html"}
    if door.method == "DELETE" and door.address == "/devices/{id}":
        fields["id"] = "none"  # the device is needed by those who come later
    path = re.sub(r"\{([^}]+)\}", lambda found: fields.get(found[1], "none"), door.address)
    return f"{path}/css/base.css" if path == "/static" else path


async def ask(one: Inside, client: httpx.AsyncClient, method: str, path: str, patient: str) -> tuple[int, str]:
    """The status (401 where one is led to the log-in) and what was sent; of a stream the status alone."""
    if path.endswith("/stream") or path == "/live":
        async with (
            httpx.AsyncClient(base_url=one.url, headers=client.headers, verify=False) as real,
            real.stream(method, path) as answer,
        ):
            return answer.status_code, ""
    if method == "GET":
        answer = await client.get(path)
    elif path.startswith(("/api", "/dev", "/twin")):
        answer = await client.request(method, path, json={})
    else:
        answer = await client.request(method, path, data={"patient": patient})
    led = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    return 401 if led and path not in ("/logout", "/settings") else answer.status_code, answer.text


def refused(status: int) -> bool:
    return status in (401, 403)


_PLACES = re.compile(r'\s(d|points|transform|viewBox|width|height|[cr]?[xy][12]?)="[^"]*"')
"""Of drawings: where a line ends goes by the time of day, and may be any number."""


def leaked(visitor: Visitor, door: Door, patient: str, body: str) -> bool:
    """Whether a visitor who may not see the patient, nor read their entries in the log where the door gives these, was
    shown something of them. Ids in the request come back."""
    label, device, tenths = MARKS[patient]
    reads_registry = decide(visitor.principal, Action.READ_REGISTRY).allowed or visitor.device == device
    commands = decide(visitor.principal, Action.COMMAND_DEVICES).allowed
    masked = decide(visitor.principal, Action.VIEW_MASKED, patient).allowed
    marks = [label, *([] if masked else [rf"{tenths}|{tenths / 10}"])]
    marks += [] if reads_registry or commands else [f'"{device}"']
    body = _PLACES.sub("", body)
    found = any(re.search(rf"(?<![\w.])({mark})(?![\w.])", body) for mark in marks)
    consumes = door.needs is Action.CONSUME_LOG and decide(visitor.principal, Action.CONSUME_LOG, patient).allowed
    return found and not consumes and not visible(visitor.principal, patient)


async def walk(one: Inside, *, allowed: bool) -> int:
    """Try each door as each visitor whom the matrix lets in there, or does not; how many that were."""
    tried, there = 0, set(addresses(one.app.routes))
    wrong = []
    for visitor in visitors(one):
        async with one.client(visitor.token, scheme=visitor.scheme) as client:
            for door in doors("http"):
                asked = isinstance(door.needs, Action) or door.needs in (Open.LOGGED_IN, Open.KEY, Open.SELF)
                for patient in MARKS if door.about else ("p-1",):
                    granted = may(visitor, door, patient) if asked else True
                    if granted is not allowed or door.address == "/logout" or (door.method, door.address) not in there:
                        continue
                    tried += 1
                    status, body = await ask(one, client, door.method, path_of(one, door, patient), patient)
                    said = f"{visitor.name}: {door.method} {door.address} of {patient}: {status}"
                    if status >= 500 and not door.address.endswith("/provider"):  # whose server is not there
                        wrong.append(f"{said}, a fault")
                    if asked and refused(status) is granted:
                        wrong.append(f"{said}, against the matrix")
                    wrong += [f"{said}, shows {other}" for other in MARKS if leaked(visitor, door, other, body)]
    assert "\n".join(wrong) == ""
    return tried


async def test_every_route_has_a_line_in_the_matrix(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        there = set(addresses(one.app.routes))
        known = {(door.method, door.address) for door in [*doors("http"), *doors("websocket")]}
        assert there - known == set(), "a route without a line in islet.access.doors"
        absent = set() if PROVIDERS else {one for one in known if one[1].endswith(("/provider", "/provider/back"))}
        absent |= set() if SOCKETS else {one for one in known if one[1] == "/socket.io"}
        assert known - there == absent, "a line in islet.access.doors without a route"

    await inside(tmp_path, visit)


async def test_nobody_sees_or_changes_what_the_matrix_does_not_grant(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        platform, said = one.platform, one.platform.registry.audit_length()
        before = platform.registry.version, platform.log.end(Topic.ALERTS), platform.log.end(Topic.GLUCOSE_READINGS)
        tried = await walk(one, allowed=False)
        after = platform.registry.version, platform.log.end(Topic.ALERTS), platform.log.end(Topic.GLUCOSE_READINGS)
        assert tried > 1000
        assert after == (before[0] + 1, *before[1:])  # one key was made
        lines = platform.registry.audit(said, limit=100_000)
        assert [line.kind for line in lines if not line.action.startswith("refused")] == ["api_key"]

    await inside(tmp_path, visit)


async def test_everybody_gets_what_the_matrix_grants(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        assert await walk(one, allowed=True) > 200

    await inside(tmp_path, visit)


def test_every_topic_and_amqp_address_has_a_line_in_the_matrix() -> None:
    identity = Identity("{id}")
    filters = {door.address for door in doors("mqtt") if door.method == "subscribe"}
    assert filters == set(identity.filters)
    own = {door.address.removeprefix("/devices/{id}") for door in doors("amqp") if door.credential is Credential.DEVICE}
    services = {door.address for door in doors("amqp") if door.credential is Credential.HUB}
    of_events = {f"/{ENTITY}/{RUNTIME}", f"/{ENTITY}/ConsumerGroups/{{group}}/Partitions/{{partition}}"}
    assert (own, services) == (set(_OWN), {*_SERVICE, *of_events})


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMINISTRATOR, Role.DEVICE)])
def test_no_role_but_the_administrators_may_do_what_is_about_the_installation(role: Role) -> None:
    principal = Principal(kind=Kind.USER, name="x", role=role, patients=("p-1",))
    about_all = (Action.ADMINISTER, Action.IMPERSONATE, Action.WRITE_REGISTRY, Action.COMMAND_DEVICES)
    assert [action for action in about_all if decide(principal, action).allowed] == []
