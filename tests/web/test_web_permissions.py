"""The pages about access: permissions, consents, acting as somebody, the audit trail, keys and tokens."""

from dataclasses import replace

import httpx
import pytest
from msgspec import structs
from starlette.applications import Starlette

from islet.access.audit import AuditLine, first_broken
from islet.access.decide import (
    GRANTED,
    NO_CONSENT,
    NO_CONSENT_YET,
    NOT_ASSIGNED,
    NOT_IN_KEY,
    NOT_IN_POLICY,
    NOT_IN_ROLE,
    REFUSED,
)
from islet.access.roles import OF_RIGHT, OF_ROLE
from islet.model.people import Role
from islet.model.permissions import Permission, Verb
from islet.model.time import DAY_US, MINUTE_US
from islet.store.consents import SAYS_IT_THEMSELVES
from islet.store.grants import grant, make_key, revoke_key
from islet.store.principals import read_permissions
from islet.web.addresses import parse_networks
from islet.web.app import routes
from islet.web.languages import LANGUAGES, words
from islet.web.texts import reason
from tests.web.portal import PASSWORD, Site

SAME = {"sec-fetch-site": "same-origin"}
GRANT = {"act": "grant", "issued_to": "user/nurse", "principal_for": "p-2", "action": "view", "subject.patient": "1"}


def acts(site: Site) -> list[AuditLine]:
    """The trail without refusals."""
    return [line for line in site.registry.audit() if line.kind != "request"]


async def test_a_refusal_is_noted_once_in_a_while(site: Site) -> None:
    nurse = site.client("nurse")
    for path in ("/patients/p-2", "/patients/p-2", "/api/patients/p-2/series"):
        assert (await nurse.get(path)).status_code == 403
    lines = [(line.by, line.id, line.action) for line in site.registry.audit()]
    reason = "refused: this patient is not assigned to the one who asks"
    assert lines == [("nurse", "GET /patients/p-2", reason), ("nurse", "GET /api/patients/p-2/series", reason)]
    site.now_us += 11 * MINUTE_US
    await nurse.get("/patients/p-2")
    assert len(site.registry.audit()) == 3


async def test_an_administrator_grants_on_the_page_and_it_holds_at_once(site: Site) -> None:
    admin, nurse = site.client("admin"), site.client("nurse")
    assert (await nurse.get("/patients/p-2")).status_code == 403
    assert (await admin.post("/permissions", data=GRANT | {"reason": "covers"}, headers=SAME)).status_code == 303
    assert (await nurse.get("/patients/p-2")).status_code == 200
    page = (await admin.get("/permissions")).text
    assert "covers" in page
    (permission,) = read_permissions(site.registry)
    revoke = {"act": "revoke", "id": permission.id}
    assert (await nurse.post("/permissions", data=revoke, headers=SAME)).status_code == 403
    assert (await admin.post("/permissions", data=revoke, headers=SAME)).status_code == 303
    assert (await nurse.get("/patients/p-2")).status_code == 403
    assert [(one.action, one.by) for one in acts(site)] == [("added", "admin"), ("removed", "admin")]


@pytest.mark.parametrize(
    "field",
    [
        {"issued_to": ""},
        {"action": "", "principal_for": ""},
        {"days": "-1"},
        {"days": "x"},
        {"priority": "5"},
        {"action": "fly"},
    ],
)
async def test_a_permission_that_cannot_be_is_refused(site: Site, field: dict[str, str]) -> None:
    answer = await site.client("admin").post("/permissions", data=GRANT | field, headers=SAME)
    assert answer.status_code == 400
    assert read_permissions(site.registry) == []


async def test_a_permission_ends_with_its_time(site: Site) -> None:
    await site.client("admin").post("/permissions", data=GRANT | {"days": "1"}, headers=SAME)
    nurse = site.client("nurse")
    assert (await nurse.get("/api/patients/p-2/series")).status_code == 200
    token = site.token("nurse")
    site.now_us += DAY_US
    site.registry.create_session("later", "nurse", site.now_us + DAY_US)
    viewer = {"authorization": f"Bearer {token}"}
    assert (await site.client().get("/api/patients/p-2/series", headers=viewer)).status_code == 401
    fresh = site.client("nurse")
    assert (await fresh.get("/api/patients/p-2/series")).status_code == 403


async def test_acting_as_somebody_is_a_line_of_the_trail_at_every_request(site: Site) -> None:
    admin = site.client("admin")
    await admin.post("/impersonate", data={"name": "nurse", "why": "cannot find p-1"}, headers=SAME)
    assert "admin acts as nurse" in (await admin.get("/patients/p-1")).text
    assert (await admin.get("/patients/p-2")).status_code == 403
    assert (await admin.get("/permissions")).status_code == 403
    lines = [(line.action, line.id, line.by) for line in acts(site)]
    assert lines == [
        ("began: cannot find p-1", "nurse", "admin"),
        ("used: GET /patients/p-1", "nurse", "admin"),
        ("used: GET /patients/p-2", "nurse", "admin"),
        ("used: GET /permissions", "nurse", "admin"),
    ]
    assert first_broken(site.registry.audit()) is None


@pytest.mark.parametrize(
    ("who", "fields", "status"),
    [
        ("nurse", {"name": "admin", "why": "x"}, 403),
        ("admin", {"name": "nurse", "why": " "}, 400),
        ("admin", {"name": "nobody", "why": "x"}, 404),
        ("admin", {"name": "root", "why": "x"}, 403),
        ("admin", {"name": "deputy", "why": "x"}, 403),
    ],
)
async def test_nobody_acts_for_an_administrator_or_without_a_reason(
    site: Site, who: str, fields: dict[str, str], status: int
) -> None:
    site.add_user("root", Role.ADMINISTRATOR)
    site.add_user("deputy", Role.CLINICIAN)
    may = Permission(id="", issued_to="user/deputy", action=Verb.ADMIN, filter=("installation",))
    grant(site.registry, may, by="root", at_us=site.now_us)
    answer = await site.client(who).post("/impersonate", data=fields, headers=SAME)
    assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)


async def test_acting_ends_when_the_right_to_it_does(site: Site) -> None:
    admin = site.client("admin")
    await admin.post("/impersonate", data={"name": "nurse", "why": "x"}, headers=SAME)
    assert (await admin.get("/alerts")).status_code == 200
    refusal = Permission(id="", issued_to="user/admin", action=Verb.IMPERSONATE, authorized=False)
    grant(site.registry, refusal, by="root", at_us=site.now_us)
    assert (await admin.get("/alerts")).status_code == 303


async def test_acting_ends_with_the_password_of_the_one_who_acts(site: Site) -> None:
    admin = site.client("admin")
    await admin.post("/impersonate", data={"name": "nurse", "why": "x"}, headers=SAME)
    found = site.registry.user("admin")
    assert found is not None
    site.registry.put_user(structs.replace(found, password_hash="changed"))
    assert (await admin.get("/alerts")).status_code == 303


async def test_what_is_done_while_acting_is_done_by_the_one_who_acts(site: Site) -> None:
    admin = site.client("admin")
    await admin.post("/impersonate", data={"name": "nurse", "why": "x"}, headers=SAME)
    await admin.get("/api/patients/p-1/reports/seven-day")
    await admin.post("/patients/p-1/patterns", data={}, headers=SAME)
    await admin.post("/account", data={"act": "add", "channel": "email", "address": "a@b"}, headers=SAME)
    lines = [line for line in acts(site) if line.kind != "impersonation"]
    assert {line.by for line in lines} == {"nurse (admin)"}


async def test_an_auditor_reads_the_trail_and_nothing_else(site: Site) -> None:
    site.add_user("audrey", Role.AUDITOR)
    await site.client("admin").post("/permissions", data=GRANT, headers=SAME)
    audrey = site.client("audrey")
    assert "permission" in (await audrey.get("/audit")).text
    for path in ("/patients/p-1", "/operations", "/permissions", "/api/log/alerts", "/research"):
        assert (await audrey.get(path)).status_code == 403
    assert "Ada Example" not in (await audrey.get("/")).text


@pytest.mark.parametrize("scope", [None, ("view_patient",)])
async def test_neither_a_key_nor_a_token_made_with_it_is_the_person_themselves(
    site: Site, scope: tuple[str, ...] | None
) -> None:
    site.add_user("mirror", Role.APPLICATION, "*")
    _, key = make_key(site.registry, "mirror", site.now_us + DAY_US, scope, "", by="admin", at_us=site.now_us)
    client = site.client()
    with_key = {"authorization": f"Bearer {key}"}
    given = (await client.post("/api/token", headers=with_key)).json()
    for headers in (with_key, {"authorization": f"Bearer {given['access_token']}"}):
        assert (await client.get("/account/second-factor", headers=headers)).status_code == 403
        begun = await client.post("/account/second-factor", headers=headers, data={"act": "begin"})
        assert begun.status_code == 403


async def test_a_token_of_a_person_changes_neither_who_is_told_nor_what_they_read_nor_what_others_may(
    site: Site,
) -> None:
    site.add_user("anna", Role.CARE_PARTNER, "p-1", consents=False)
    client, now_us = site.client(), site.now_us
    for name, scope in (("nurse", None), ("nurse", ("view_patient",)), ("admin", None)):
        _, key = make_key(site.registry, name, now_us + DAY_US, scope, "watch", by=name, at_us=now_us)
        headers = {"authorization": f"Bearer {key}"}
        assert (await client.get("/patients/p-1", headers=headers)).status_code == 200
        added = {"act": "add", "channel": "email", "address": "evil@example.org"}
        assert (await client.post("/account", headers=headers, data=added)).status_code == 403
        pushed = {"subscription": {"endpoint": "https://push/1", "keys": {"auth": "x"}}}
        assert (await client.post("/account/push", headers=headers, json=pushed)).status_code == 403
        await client.post("/settings", headers=headers, data={"unit": "mmol/L", "language": "zh-CN"})
        signed = {"name": "anna", "patient": "p-1", "signed_by": "x", "signed_on": "2026-03-01"}
        given = {"act": "consent_given", **signed}
        staff = {"act": "staff", "name": "ward", "members": "user/nurse"}
        for path, data in (("/permissions", GRANT), ("/permissions", given), ("/groups", staff)):
            assert (await client.post(path, headers=headers, data=data)).status_code == 403
        user = site.registry.user(name)
        assert user is not None and (user.unit, user.language) == ("mg/dL", "en")
    assert {line.kind for line in acts(site)} == {"api_key"}
    assert site.book.everybody() == []


async def test_a_key_does_what_its_scope_says_until_its_end(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "*")
    scope = ("consume_log",)
    id, key = make_key(site.registry, "mirror", site.now_us + DAY_US, scope, "", by="admin", at_us=site.now_us)
    client = site.client()
    client.headers["authorization"] = f"Bearer {key}"
    assert (await client.get("/api/log/alerts")).status_code == 200
    refused = await client.get("/api/patients/p-1/series")
    assert (refused.status_code, refused.json()["error"]) == (403, NOT_IN_KEY)
    given = (await client.post("/api/token")).json()
    token = {"authorization": f"Bearer {given['access_token']}"}
    assert (await client.get("/api/log/alerts", headers=token)).status_code == 200
    assert (await client.get("/api/patients/p-1/series", headers=token)).status_code == 403
    assert (await client.post("/api/token", headers=token)).status_code == 403
    site.now_us += 16 * MINUTE_US
    assert (await client.get("/api/log/alerts", headers=token)).status_code == 401
    assert (await client.get("/api/log/alerts", headers={"authorization": f"Bearer {key[:-1]}x"})).status_code == 401
    site.now_us += DAY_US
    assert (await client.get("/api/log/alerts")).status_code == 401
    revoke_key(site.registry, id, by="admin", at_us=site.now_us)


def behind(site: Site, *proxies: str) -> httpx.AsyncClient:
    """A client of the portal that comes from 127.0.0.1, where those proxies are trusted."""
    context = replace(site.context, proxies=parse_networks(proxies))
    app = Starlette(routes=routes(context))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://islet.test")


async def guesses(client: httpx.AsyncClient, times: int, address: str = "198.51.100.{}") -> list[int]:
    wrong = {"name": "nurse", "password": "guess"}
    forwarded = [{"x-forwarded-for": address.format(number)} for number in range(times)]
    return [(await client.post("/login", data=wrong, headers=headers)).status_code for headers in forwarded]


async def test_a_stranger_does_not_pretend_to_be_many(site: Site) -> None:
    assert await guesses(behind(site), 6) == [401] * 5 + [429]


async def test_behind_a_trusted_proxy_a_guesser_does_not_keep_the_nurse_out(site: Site) -> None:
    client = behind(site, "127.0.0.1")
    assert (await guesses(client, 6, "198.51.100.1"))[-1] == 429
    right = {"name": "nurse", "password": PASSWORD}
    own = await client.post("/login", data=right, headers={"x-forwarded-for": "198.51.100.1, 203.0.113.7"})
    assert own.status_code == 303


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_told_in_the_readers_language(language: str) -> None:
    rows = [one.reason for rows in (*OF_ROLE.values(), *OF_RIGHT.values()) for one in rows.values()]
    said = {*rows, NOT_ASSIGNED, NOT_IN_ROLE, NOT_IN_KEY, NOT_IN_POLICY, GRANTED, REFUSED}
    said |= {NO_CONSENT, NO_CONSENT_YET, SAYS_IT_THEMSELVES}
    text = words(language).text
    assert [one for one in said if reason(text, one) == one] == []
