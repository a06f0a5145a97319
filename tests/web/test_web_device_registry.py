"""The pages of the registry: who may, what they show and change, and that a key is shown once."""

import hashlib
import re
from typing import Any

import httpx
import pytest
from msgspec import structs

from islet.access.passwords import new_token, token_hash
from islet.access.sas import new_key, parse_connection_string
from islet.decode.iothub_twins import ServiceTwin
from islet.model.people import Device, Role
from islet.model.permissions import Permission, Verb
from islet.model.time import HOUR_US
from islet.model.topics import Topic
from islet.store.app_secrets import App, app_by_secret, app_of, device_of_app
from islet.store.devices_base import Address, Command
from islet.store.grants import grant, make_key
from tests.web.portal import NOW_US, Site

SAME = {"sec-fetch-site": "same-origin"}
KEYS = (new_key(), new_key())


def add(site: Site, id: str = "pump-1", **more: Any) -> Device:
    plain = Device(id=id, patient="p-1", generation_id="1", etag="e1", primary_key=KEYS[0], secondary_key=KEYS[1])
    device = structs.replace(plain, **more)
    site.registry.create_device(device)
    return device


def known(site: Site, id: str = "pump-1") -> Device:
    device = site.registry.device(id)
    assert device is not None
    return device


def text(answer: httpx.Response) -> str:
    body = re.sub(r"<(script|head|form).*?</\1>", "", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


async def post(site: Site, user: str = "admin", path: str = "", id: str = "pump-1", **fields: str) -> httpx.Response:
    return await site.client(user).post(f"/registry/{id}{path}", headers=SAME, data=fields)


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.ADMINISTRATOR, 200), (Role.CLINICIAN, 403), (Role.PATIENT, 403), (Role.AUDITOR, 403)],
)
async def test_the_registry_is_for_administrators(site: Site, role: Role, status: int) -> None:
    before = add(site)
    site.add_user("someone", role, "p-1")
    client = site.client("someone")
    for path in ("/registry", "/registry/pump-1"):
        assert (await client.get(path)).status_code == status
    assert ('href="/registry"' in (await client.get("/")).text) == (status == 200)
    if status == 403:
        refused = [
            await post(site, "someone", etag="e1", act="disable"),
            await post(site, "someone", "/keys", etag="e1", key="primary"),
        ]
        assert [answer.status_code for answer in refused] == [403, 403]
        assert known(site) == before


async def test_who_may_only_read_the_registry_changes_nothing_and_sees_no_twin(site: Site) -> None:
    add(site)
    site.devices.change_twin(Address("pump-1", "1"), ServiceTwin(tags={"ward": "north"}), NOW_US)
    site.add_user("reader", Role.AUDITOR)
    leave = Permission(id="", issued_to="user/reader", action=Verb.VIEW, filter=("registry",))
    grant(site.registry, leave, by="test", at_us=NOW_US)
    answer = await site.client("reader").get("/registry/pump-1")
    assert answer.status_code == 200 and "pump-1" in answer.text
    assert not {"north", "Renew", "Disable", "Commands that wait"} & {*re.findall(r"[\w ]+", answer.text)}
    assert (await post(site, "reader", etag="e1", act="disable")).status_code == 403
    assert (await post(site, "reader", "/keys", etag="e1", key="primary")).status_code == 403


async def test_the_list_is_searched_by_device_and_patient_and_has_pages(site: Site) -> None:
    for number in range(120):
        add(site, f"cgm-{number:03}", patient=f"x-{number % 2}")
    add(site, "Pump%1?", patient="", enabled=False, authentication="selfSigned", primary_thumbprint="AB")
    admin = site.client("admin")
    first = await admin.get("/registry")
    assert "121 registered" in text(first) and "cgm-048" in first.text and "cgm-050" not in first.text
    address, seen = "/registry", list[str]()
    while address:
        page = (await admin.get(address)).text
        seen += re.findall(r'<td class="id"><a href="/registry/([^"]+)', page)
        (address,) = re.findall(r'href="([^"]+)" rel="next"', page) or ("",)
        address = address.replace("&amp;", "&")
    assert len(seen) == len({*seen}) == 121
    found = text(await admin.get("/registry", params={"search": "PUMP"}))
    assert "1 found" in found and "Pump%1? – disabled never its own certificate" in found
    assert "60 found" in text(await admin.get("/registry", params={"search": "x-1"}))
    assert "None is found" in text(await admin.get("/registry", params={"search": "nothing"}))
    assert (await admin.get("/registry/Pump%251%3F")).status_code == 200
    assert (await admin.get("/registry/none")).status_code == 404


async def test_a_device_is_shown_with_what_is_known_of_it_and_without_its_keys(site: Site) -> None:
    device = add(site, status_reason="lost", enabled=False)
    of = Address("pump-1", "1")
    site.devices.note_activity({("pump-1", ""): True}, NOW_US)
    site.devices.change_twin(of, ServiceTwin(tags={"ward": 4}, desired={"every_s": 60}), NOW_US)
    site.devices.report(of, {"firmware": "2.1"}, NOW_US)
    properties = {"$.mid": "m-7"}
    site.devices.put_command(of, Command(body=b'{"say":"s3cr3t"}', properties=properties), NOW_US)
    site.devices.put_command(Address("pump-1", "0"), Command(body=b"", properties={"$.mid": "old"}), NOW_US)
    site.add_document(Topic.DEVICE_READINGS, "p-1", "device_status", '{"battery_percent":12.0}')
    answer = await site.client("admin").get("/registry/pump-1")
    shown = text(answer)
    assert answer.headers["cache-control"] == "no-store"
    for told in ("disabled lost", "connected", "m-7 16 2026-03-02 08:00 2026-03-02 09:00 0 waits"):
        assert told in shown
    for told in ("&#34;ward&#34;: 4", "&#34;every_s&#34;: 60", "version 2", "&#34;firmware&#34;: &#34;2.1&#34;"):
        assert told in shown
    for kept in (device.primary_key, device.secondary_key, "s3cr3t", ">old<", "12 %"):  # another device's battery
        assert kept not in answer.text
    add(site, "device-1")
    assert "12 %" in text(await site.client("admin").get("/registry/device-1"))
    site.devices.take_commands(of, NOW_US, NOW_US + HOUR_US)
    assert "0 at the device" in text(await site.client("admin").get("/registry/pump-1"))


async def test_a_device_changes_hands_and_is_disabled_and_enabled_with_lines_in_the_trail(site: Site) -> None:
    add(site)
    steps: list[dict[str, str]] = [
        {"act": "assign", "patient": " p-2 "},
        {"act": "unassign"},
        {"act": "disable", "reason": "lost"},
        {"act": "enable"},
    ]
    states = []
    for fields in steps:
        answer = await post(site, etag=known(site).etag, **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/registry/pump-1")
        device = known(site)
        states.append((device.patient, device.enabled, device.status_reason))
    assert states == [("p-2", True, ""), ("", True, ""), ("", False, "lost"), ("", True, "")]
    assert (known(site).primary_key, known(site).secondary_key, known(site).generation_id) == (*KEYS, "1")
    lines = [(line.by, line.action, line.kind, line.id) for line in site.registry.audit()]
    actions = ("assigned to p-2", "assigned to nobody", "disabled: lost", "enabled")
    assert lines == [("admin", action, "device", "pump-1") for action in actions]


@pytest.mark.parametrize(("which", "other"), [("primary", "secondary"), ("secondary", "primary")])
async def test_a_new_key_is_shown_once_and_the_other_one_stays(site: Site, which: str, other: str) -> None:
    before = add(site)
    made = await post(site, path="/keys", etag="e1", key=which)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    (written,) = re.findall(r"<code>(HostName=[^<]+)</code>", made.text)
    shown, after = parse_connection_string(written), known(site)
    assert (shown.host, shown.device, shown.key) == ("hub.example", "pump-1", getattr(after, f"{which}_key"))
    assert shown.key != getattr(before, f"{which}_key")
    assert getattr(after, f"{other}_key") == getattr(before, f"{other}_key")
    assert shown.key not in (await site.client("admin").get("/registry/pump-1")).text
    again = await post(site, path="/keys", etag="e1", key=which)  # the page loaded again
    assert again.status_code == 400 and "changed this device meanwhile" in again.text
    assert known(site) == after
    (line,) = site.registry.audit()
    assert (line.by, line.action, line.id) == ("admin", f"{which} key renewed", "pump-1")
    assert shown.key not in f"{line.before}{line.after}"


async def test_an_apps_address_is_shown_once_and_lets_in_until_it_is_ended(site: Site) -> None:
    add(site)
    made = await post(site, path="/app", act="make")
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    ((secret, place),) = re.findall(r"<code>https?://([\w-]{43})@([^<]+)</code>", made.text)
    assert place.endswith("/api/v1/")
    assert app_by_secret(site.registry, secret) == App(known(site), "mg/dL")
    page = (await site.client("admin").get("/registry/pump-1")).text
    assert secret not in page and "One is let in now" in page
    again = await post(site, path="/app", act="make")  # the page loaded again
    assert again.status_code == 400 and device_of_app(site.registry, secret) is not None
    (app,) = re.findall(r'name="app" value="(\w{64})"', page)
    newer = await post(site, path="/app", act="make", app=app)
    assert newer.status_code == 200 and device_of_app(site.registry, secret) is None
    site.add_user("manager", Role.ADMINISTRATOR, unit="mmol/L")
    app = app_of(site.registry, known(site))
    made = await post(site, "manager", path="/app", act="make", app=app)
    ((secret, _),) = re.findall(r"<code>https?://([\w-]{43})@([^<]+)</code>", made.text)
    assert app_by_secret(site.registry, secret) == App(known(site), "mmol/L")
    app = app_of(site.registry, known(site))
    assert (await post(site, path="/app", act="end", app=app)).status_code == 303
    assert app_of(site.registry, known(site)) == ""
    said = " ".join(f"{line.action} {line.id} {line.before} {line.after}" for line in site.registry.audit())
    assert secret not in said and hashlib.sha1(secret.encode()).hexdigest() not in said


async def test_what_was_read_of_another_version_or_another_device_of_that_id_changes_nothing(site: Site) -> None:
    add(site)
    site.registry.delete_device("pump-1")
    another = add(site, generation_id="2", etag="e2")
    for fields in ({"act": "disable"}, {"act": "assign", "patient": "p-2"}, {"act": "unassign"}, {"act": "enable"}):
        answer = await post(site, etag="e1", **fields)
        assert answer.status_code == 400 and "changed this device meanwhile" in answer.text
    assert (await post(site, path="/keys", etag="e1", key="primary")).status_code == 400
    assert known(site) == another and site.registry.audit() == []


async def test_a_key_of_an_application_and_who_acts_for_somebody_renew_no_devices_key(site: Site) -> None:
    before = add(site)
    site.add_user("program", Role.APPLICATION)
    for issued_to in ("application/program", "user/nurse"):
        leave = Permission(id="", issued_to=issued_to, action=Verb.ADMIN, filter=("registry",))
        grant(site.registry, leave, by="test", at_us=NOW_US)
    key, _ = make_key(site.registry, "program", NOW_US + HOUR_US, None, "", by="test", at_us=NOW_US)
    for user, of_key, by in (("program", key, ""), ("nurse", "", "admin")):
        token = new_token()
        site.registry.create_session(token_hash(token), user, NOW_US + HOUR_US, key=of_key, by=by)
        headers = SAME | {"authorization": f"Bearer {token}"}
        data = {"etag": "e1", "key": "primary"}
        for path in ("keys", "app"):
            answer = await site.client().post(f"/registry/pump-1/{path}", headers=headers, data=data)
            assert answer.status_code == 403
    assert known(site) == before and app_of(site.registry, before) == ""


async def test_what_cannot_be_is_refused_and_said(site: Site) -> None:
    before = add(site, "signed", authentication="certificateAuthority", primary_key="", secondary_key="")
    wrong = [
        await post(site, id="signed", etag="e1", act="assign", patient="nobody"),
        await post(site, id="signed", etag="e1", act="assign", patient=""),
        await post(site, id="signed", etag="e1", act="disable", reason="x" * 129),
        await post(site, id="signed", etag="e1", act="explode"),
        await post(site, id="signed", path="/keys", etag="e1", key="primary"),
        await post(site, id="signed", path="/keys", etag="e1", key="both"),
    ]
    assert [answer.status_code for answer in wrong] == [400] * 6
    assert "There is no such patient." in wrong[0].text
    assert (await post(site, id="none", etag="e1", act="enable")).status_code == 404
    assert known(site, "signed") == before and site.registry.audit() == []
    assert "Renew" not in (await site.client("admin").get("/registry/signed")).text


async def test_another_sites_page_changes_nothing(site: Site) -> None:
    before = add(site)
    for path, fields in (("", {"act": "disable"}), ("/keys", {"key": "primary"}), ("/app", {"act": "make"})):
        answer = await site.client("admin").post(
            f"/registry/pump-1{path}", headers={"sec-fetch-site": "cross-site"}, data={"etag": "e1", **fields}
        )
        assert answer.status_code == 403
    assert known(site) == before and app_of(site.registry, before) == ""


async def test_the_pages_speak_chinese(site: Site) -> None:
    add(site)
    site.add_user("zhang", Role.ADMINISTRATOR, language="zh-CN")
    client = site.client("zhang")
    assert "已注册 1 个" in text(await client.get("/registry"))
    assert "更新主密钥" in (await client.get("/registry/pump-1")).text
