"""The pages on which a patient is erased and a user removed: who may, what is asked, and what is seen afterwards."""

import pytest

from islet.model.alerts import Severity
from islet.model.people import Role
from islet.model.permissions import Permission, Verb
from islet.store.grants import grant
from islet.web.updates import Positions, between, ends_of
from tests.web.portal import Site

SAME = {"sec-fetch-site": "same-origin"}
PAGE = "/patients/p-1/erase"
SURE = {"sure": "p-1"}


def fill(site: Site) -> None:
    for patient in ("p-1", "p-2"):
        site.add_readings(patient, [100, 105, 50])
        site.open_alert("urgent_low", patient, Severity.URGENT)
    site.add_user("ada", Role.PATIENT, "p-1")
    site.tell()


async def test_an_administrator_types_the_id_and_nothing_is_shown_any_more(site: Site) -> None:
    fill(site)
    admin = site.client("admin")
    assert f'href="{PAGE}"' in (await admin.get("/patients/p-1")).text
    asked = (await admin.get(PAGE)).text
    assert all(text in asked for text in ("Type p-1 to erase", "ada", "They have no devices."))
    gone = await admin.post(PAGE, data=SURE, headers=SAME)
    assert (gone.status_code, gone.headers["location"]) == (303, "/?erased=p-1")
    page = (await admin.get("/?erased=p-1")).text
    assert "p-1 is erased." in page and "Ada Example" not in page
    for path in ("/patients/p-1", PAGE, "/api/patients/p-1", "/patients/p-1/reports/seven-day.html"):
        assert (await admin.get(path)).status_code in (403, 404)
    assert "p-1" not in (await admin.get("/alerts")).text
    assert (await admin.get("/patients/p-2")).status_code == 200
    assert site.registry.user("ada") is None


async def test_the_log_is_read_without_them_by_whoever_reads_it(site: Site) -> None:
    fill(site)
    site.add_user("mirror", Role.APPLICATION, "*")
    readers = ("admin", "mirror")
    for reader in readers:
        assert "p-1" in await _log(site, reader)
    await site.client("admin").post(PAGE, data=SURE, headers=SAME)
    for reader in readers:
        told = await _log(site, reader)
        assert ("p-1" in told, "p-2" in told) == (False, True)


async def _log(site: Site, reader: str) -> str:
    client, told = site.client(reader), ""
    for topic in ("glucose_readings", "alerts"):
        for partition in range(site.log.partitions):
            offset, end = 0, 1
            while offset < end:
                answer = await client.get(f"/api/log/{topic}?partition={partition}&offset={offset}")
                assert answer.status_code == 200
                told += answer.text
                offset, end = answer.json()["next_offset"], answer.json()["end"]
    return told


async def test_a_page_that_comes_back_is_told_what_it_missed_without_them(site: Site) -> None:
    start = ends_of(site.log)
    fill(site)
    assert b"p-1" in _missed(site, start)
    await site.client("admin").post(PAGE, data=SURE, headers=SAME)
    assert (b"p-1" in _missed(site, start), b"p-2" in _missed(site, start)) == (False, True)


def _missed(site: Site, start: Positions) -> bytes:
    update = between(site.log, start, ends_of(site.log), site.context.principals.erased)
    assert update is not None
    return update.frame(None) + update.frame(frozenset({"p-1", "p-2"}))


@pytest.mark.parametrize("typed", ["", "p-2", "P-1", "Ada Example"])
async def test_another_word_erases_nobody(site: Site, typed: str) -> None:
    fill(site)
    answer = await site.client("admin").post(PAGE, data={"sure": typed}, headers=SAME)
    assert (answer.status_code, "not the id of this patient" in answer.text) == (400, True)
    assert site.registry.patient("p-1") is not None
    assert len(site.store.latest(["p-1"])) == 1


async def test_only_administrators_erase(site: Site) -> None:
    fill(site)
    everything = Permission(id="", issued_to="user/nurse", principal_for="p-1", action=Verb.ADMIN)
    grant(site.registry, everything, by="admin", at_us=1)
    for name in ("nurse", "ada"):
        client = site.client(name)
        assert (await client.get(PAGE)).status_code == 403
        assert (await client.post(PAGE, data=SURE, headers=SAME)).status_code == 403
        assert PAGE not in (await client.get("/patients/p-1")).text
    assert (await site.client().post(PAGE, data=SURE, headers=SAME)).status_code == 303  # to the log-in
    assert (
        await site.client("admin").post(PAGE, data=SURE, headers={"sec-fetch-site": "cross-site"})
    ).status_code == 403
    assert site.registry.patient("p-1") is not None


async def test_who_is_erased_is_told_of_on_the_page_only_where_that_is_so(site: Site) -> None:
    for name in ("admin", "nurse"):
        assert "is erased" not in (await site.client(name).get("/?erased=p-1")).text


async def test_a_user_is_removed_where_their_name_is_typed(site: Site) -> None:
    admin, nurse = site.client("admin"), site.client("nurse")
    wrong = await admin.post("/people/nurse", data={"act": "remove", "sure": "admin"}, headers=SAME)
    assert (wrong.status_code, site.registry.user("nurse") is None) == (400, False)
    done = await admin.post("/people/nurse", data={"act": "remove", "sure": "nurse"}, headers=SAME)
    assert (done.status_code, done.headers["location"]) == (303, "/people")
    assert (await nurse.get("/")).headers["location"].startswith("/login")
    assert "nurse" not in (await admin.get("/people")).text
    last = await admin.post("/people/admin", data={"act": "remove", "sure": "admin"}, headers=SAME)
    assert last.status_code == 403 and site.registry.user("admin") is not None
