"""The pages about people: found, made, changed, disabled, helped in again; and the link to choose a password."""

import re
from time import process_time

import httpx
import pytest
from starlette.requests import Request

from islet.access.second_factor import new_second_factor
from islet.model.people import Role
from islet.model.time import DAY_US
from islet.store.grants import make_key
from islet.store.people import set_enabled
from islet.store.second_factors import put_second_factor, read_second_factor
from islet.web.context import WebContext
from islet.web.sessions import Viewer, viewer_of
from tests.web.portal import PASSWORD, Site

SAME = {"sec-fetch-site": "same-origin"}
NEW = {"name": "wang", "role": "clinician", "patients": "p-1, p-2"}
CHOSEN = {"password": "a password of their own", "again": "a password of their own"}


def link_in(page: str) -> str:
    (found,) = re.findall(r"<code>(http://islet\.test/invitation/[\w-]{43})</code>", page)
    return str(found)


async def log_in(site: Site, name: str, password: str) -> int:
    answer = await site.client().post("/login", data={"name": name, "password": password}, headers=SAME)
    return answer.status_code


async def test_who_is_added_chooses_a_password_with_a_link_that_is_shown_once(site: Site) -> None:
    admin, stranger = site.client("admin"), site.client()
    made = await admin.post("/people", data=NEW, headers=SAME)
    link = link_in(made.text)
    again = (await admin.get("/people/wang")).text
    assert ("p-1, p-2" in again, "invitation" in again, "Has no password yet." in again) == (True, False, True)
    assert await log_in(site, "wang", "") == 401
    assert "wang" in (await stranger.get(link)).text
    assert (await stranger.post(link, data=CHOSEN, headers=SAME)).headers["location"] == "/login"
    assert await log_in(site, "wang", CHOSEN["password"]) == 303
    for used in (await stranger.get(link), await stranger.post(link, data=CHOSEN, headers=SAME)):
        assert (used.status_code, "wang" in used.text) == (404, False)
    lines = [(line.action, line.id, line.by) for line in site.registry.audit() if line.kind == "user"]
    assert lines[:3] == [("added", "wang", "admin"), ("invited", "wang", "admin"), ("password chosen", "wang", "wang")]
    token = link.rsplit("/", 1)[1]
    assert not any(token in line.id + line.before + line.after for line in site.registry.audit())


async def test_nobody_is_told_by_the_time_it_takes_who_was_invited(site: Site) -> None:
    await site.client("admin").post("/people", data=NEW, headers=SAME)

    async def cpu_s(name: str) -> float:
        began_s = process_time()
        assert await log_in(site, name, "a guess") == 401
        return process_time() - began_s

    unknown_s, invited_s = [min([await cpu_s(name), await cpu_s(name)]) for name in ("nobody", "wang")]
    assert invited_s > unknown_s / 2


async def test_a_link_opens_nothing_but_its_page(site: Site) -> None:
    token = link_in((await site.client("admin").post("/people", data=NEW, headers=SAME)).text).rsplit("/", 1)[1]
    with_link = {"authorization": f"Bearer {token}"}
    assert (await site.client().get("/api/patients", headers=with_link)).status_code == 401
    session = site.token("nurse")
    assert (await site.client().get(f"/invitation/{session}")).status_code == 404


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"again": "something else"}, "not the same"),
        ({"password": "1234567", "again": "1234567"}, "at least 8 characters"),
    ],
)
async def test_a_password_is_entered_twice_and_is_long_enough(site: Site, field: dict[str, str], said: str) -> None:
    link = link_in((await site.client("admin").post("/people", data=NEW, headers=SAME)).text)
    refused = await site.client().post(link, data=CHOSEN | field, headers=SAME)
    assert (refused.status_code, said in refused.text) == (400, True)
    assert (await site.client().post(link, data=CHOSEN, headers=SAME)).status_code == 303


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"name": "a b"}, "name: expected"),
        ({"name": "nurse"}, "is there already"),
        ({"role": ""}, "role: expected"),
        ({"role": "device"}, "role: expected"),
        ({"patients": "p-9"}, "there is no patient &#39;p-9&#39;"),
        ({"patients": "*"}, "* is not for a clinician"),
        ({"role": "care_partner", "patients": "group/t"}, "has no groups of patients"),
    ],
)
async def test_who_cannot_be_is_refused_with_what_was_expected(site: Site, field: dict[str, str], said: str) -> None:
    refused = await site.client("admin").post("/people", data=NEW | field, headers=SAME)
    assert (refused.status_code, said in refused.text) == (400, True)
    assert [user.name for user in site.registry.users()] == ["admin", "nurse"]


async def test_people_are_searched_for_and_listed_by_pages(site: Site) -> None:
    for number in range(120):
        site.add_user(f"person-{number:03}", Role.PATIENT if number % 2 else Role.AUDITOR)
    admin = site.client("admin")

    async def names(query: str) -> list[str]:
        return re.findall(r'<td><a href="/people/([^"]+)">', (await admin.get(f"/people?{query}")).text)

    assert await names("") == ["admin", "nurse", *(f"person-{number:03}" for number in range(48))]
    assert (await names("page=3"))[-1] == "person-119"
    assert await names("page=99") == await names("page=3")
    assert await names("search=PERSON-11&role=auditor") == [f"person-{number}" for number in range(110, 120, 2)]
    assert await names("search=nobody") == []
    first = (await admin.get("/people?search=person&role=patient")).text
    (on,) = re.findall(r'href="(/people\?[^"]*page=2[^"]*)"', first)
    assert "Page 1 of 2, 60 people" in first
    assert (await names(on.partition("?")[2].replace("&amp;", "&")))[-1] == "person-119"
    assert (await admin.get("/people?page=0")).status_code == 400


async def test_role_and_patients_are_changed_and_hold_at_once(site: Site) -> None:
    admin, nurse = site.client("admin"), site.client("nurse")
    assert (await nurse.get("/patients/p-2")).status_code == 403
    change = {"act": "change", "role": "clinician", "patients": "p-2 p-2"}
    said = await admin.post("/people/nurse", data=change, headers=SAME)
    assert said.headers["location"] == "/people/nurse?said=kept"
    assert ((await nurse.get("/patients/p-2")).status_code, (await nurse.get("/patients/p-1")).status_code) == (
        200,
        403,
    )
    refused = await admin.post("/people/nurse", data=change | {"patients": "p-1, p-9"}, headers=SAME)
    assert (refused.status_code, "p-1, p-9" in refused.text) == (400, True), "what was entered is there to be mended"
    assert (await admin.post("/people/nobody", data=change, headers=SAME)).status_code == 404
    assert (await admin.post("/people/nurse", data={"act": "fly"}, headers=SAME)).status_code == 400


async def test_who_becomes_a_care_partner_is_asked_for(site: Site) -> None:
    change = {"act": "change", "role": "care_partner", "patients": "p-1"}
    admin, nurse = site.client("admin"), site.client("nurse")
    assert (await nurse.get("/patients/p-1")).status_code == 200
    await admin.post("/people/nurse", data=change, headers=SAME)
    assert (await nurse.get("/patients/p-1")).status_code == 403
    assert "asked for" in (await admin.get("/people/nurse")).text


@pytest.mark.parametrize("act", ["disable", "end_sessions", "forget_second_factor", "invite", "unlink"])
async def test_what_ends_a_session_ends_it_at_once(site: Site, act: str) -> None:
    admin, nurse = site.client("admin"), site.client("nurse")
    assert (await nurse.get("/alerts")).status_code == 200
    await admin.post("/people/nurse", data={"act": act}, headers=SAME)
    assert (await nurse.get("/alerts")).status_code == 303
    fits = act not in ("disable", "invite")
    assert await log_in(site, "nurse", PASSWORD) == (303 if fits else 401)
    if act == "disable":
        await admin.post("/people/nurse", data={"act": "enable"}, headers=SAME)
        assert await log_in(site, "nurse", PASSWORD) == 303


async def test_a_lost_second_factor_is_removed(site: Site) -> None:
    put_second_factor(site.registry, "nurse", new_second_factor())
    await site.client("admin").post("/people/nurse", data={"act": "forget_second_factor"}, headers=SAME)
    assert read_second_factor(site.registry, "nurse") is None
    assert ("removed", "second_factor", "nurse") in [(one.action, one.kind, one.id) for one in site.registry.audit()]


@pytest.mark.parametrize("fields", [{"act": "disable"}, {"act": "invite"}, {"act": "change", "role": "clinician"}])
async def test_the_last_administrator_cannot_lock_themselves_out(site: Site, fields: dict[str, str]) -> None:
    admin = site.client("admin")
    refused = await admin.post("/people/admin", data=fields, headers=SAME)
    assert (refused.status_code, "make another administrator first" in refused.text) == (403, True)
    assert (await admin.get("/people")).status_code == 200
    site.add_user("second", Role.ADMINISTRATOR)
    assert (await admin.post("/people/admin", data=fields, headers=SAME)).status_code in (200, 303)


async def test_only_administrators_themselves_change_people(site: Site) -> None:
    site.add_user("mirror", Role.ADMINISTRATOR)
    site.add_user("app", Role.APPLICATION)
    _, key = make_key(site.registry, "app", site.now_us + DAY_US, None, "", by="admin", at_us=site.now_us)
    with_key = httpx.AsyncClient(
        transport=httpx.ASGITransport(site.app),
        base_url="http://islet.test",
        headers={"authorization": f"Bearer {key}"},
    )
    for client in (site.client("nurse"), with_key):
        for path in ("/people", "/people/nurse"):
            assert (await client.get(path)).status_code == 403
            assert (await client.post(path, data=NEW | {"act": "disable"}, headers=SAME)).status_code == 403
    assert (await site.client().get("/people")).status_code == 303


async def test_an_application_is_added_without_a_link(site: Site) -> None:
    made = await site.client("admin").post("/people", data={"name": "app", "role": "application"}, headers=SAME)
    assert (made.status_code, "invitation" in made.text) == (200, False)


async def test_a_strange_name_of_an_earlier_version_has_its_page(site: Site) -> None:
    site.add_user("Wang Li/2 <b>?", Role.AUDITOR)
    admin = site.client("admin")
    (address,) = re.findall(r'href="(/people/Wang[^"]+)"', (await admin.get("/people")).text)
    shown = (await admin.get(address)).text
    assert "Wang Li/2 &lt;b&gt;?" in shown
    (action,) = set(re.findall(r'action="(/people/[^"]+)"', shown))
    await admin.post(action, data={"act": "disable"}, headers=SAME)
    found = site.registry.user("Wang Li/2 <b>?")
    assert found is not None
    assert not found.enabled


async def test_a_persons_tokens_are_on_their_page_and_end_there(site: Site) -> None:
    made = {
        name: make_key(site.registry, name, site.now_us + DAY_US, ("view_patient",), "phone", by="x", at_us=site.now_us)
        for name in ("nurse", "admin")
    }
    admin = site.client("admin")
    shown = (await admin.get("/people/nurse")).text
    assert (made["nurse"][0] in shown, made["admin"][0] in shown, "2026-03-03 08:00" in shown) == (True, False, True)
    with_token = {"authorization": f"Bearer {made['nurse'][1]}"}
    assert (await site.client().get("/api/patients/p-1/series", headers=with_token)).status_code == 200
    assert (await site.client().get("/rules", headers=with_token)).status_code == 403, "a nurse may, the token not"
    other = await admin.post("/people/nurse", data={"act": "revoke_key", "id": made["admin"][0]}, headers=SAME)
    assert other.status_code == 400
    await admin.post("/people/nurse", data={"act": "revoke_key", "id": made["nurse"][0]}, headers=SAME)
    assert (await site.client().get("/api/patients/p-1/series", headers=with_token)).status_code == 401


async def test_a_change_of_language_lets_in_nobody_who_was_disabled_meanwhile(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_disabled(context: WebContext, request: Request) -> Viewer:
        viewer = viewer_of(context, request)
        set_enabled(site.registry, "nurse", False, by="admin", at_us=1)
        return viewer

    monkeypatch.setattr("islet.web.account.viewer_of", then_disabled)
    await site.client("nurse").post("/settings", data={"language": "zh-CN"}, headers=SAME)
    nurse = site.registry.user("nurse")
    assert nurse is not None
    assert (nurse.enabled, nurse.language) == (False, "zh-CN")
