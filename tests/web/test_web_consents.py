"""Consents on the pages: a care partner asks, the patient says yes or no, an administrator enters what is on paper."""

import pytest

from islet.model.people import Role
from islet.model.permissions import Permission, Verb
from islet.model.time import DAY_US
from islet.store.grants import grant, make_key
from tests.web.portal import Site

SAME = {"sec-fetch-site": "same-origin"}
WORD = {"name": "anna", "patient": "p-1"}
PAPER = WORD | {"act": "consent_given", "signed_by": "Eva Example, mother", "signed_on": "2026-03-02"}
DOORS = ("/patients/p-1", "/api/patients/p-1/series", "/patients/p-1/patterns", "/patients/p-1/reports")


@pytest.fixture
def family(site: Site) -> Site:
    """A patient, and a care partner whom an administrator has assigned to them."""
    site.add_user("ada", Role.PATIENT, "p-1")
    site.add_user("anna", Role.CARE_PARTNER, "p-1", consents=False)
    return site


async def answers(site: Site, name: str = "anna") -> set[int]:
    client = site.client(name)
    return {(await client.get(path)).status_code for path in DOORS}


async def test_who_is_assigned_sees_nothing_until_the_patient_says_yes(family: Site) -> None:
    ada, anna = family.client("ada"), family.client("anna")
    assert await answers(family) == {403}
    assert "The patient has not consented yet." in (await anna.get("/patients/p-1")).text
    assert "Ada Example" not in (await anna.get("/")).text + (await anna.get("/api/patients")).text
    assert "Somebody asks to follow you (anna)." in (await ada.get("/patients/p-1")).text
    assert "asks to follow you" in (await ada.get("/consents")).text
    said = await ada.post("/consents", data=WORD | {"act": "give"}, headers=SAME)
    assert said.headers["location"] == "/consents?said=kept"
    assert await answers(family) == {200}
    assert "Ada Example" in (await anna.get("/patients/p-1")).text
    assert "Somebody asks" not in (await ada.get("/patients/p-1")).text
    (line,) = family.registry.audit()[-1:]
    assert (line.by, line.action, line.kind, line.id) == ("ada", "added", "consent", "anna p-1")


async def test_a_patient_says_no_and_withdraws_and_no_administrator_goes_before_it(family: Site) -> None:
    ada, anna = family.client("ada"), family.client("anna")
    for before in ("asked", "given"):
        if before == "given":
            await ada.post("/consents", data=WORD | {"act": "give"}, headers=SAME)
            assert await answers(family) == {200}
        await ada.post("/consents", data=WORD | {"act": "withdraw"}, headers=SAME)
        allowed = Permission(id="", issued_to="user/anna", principal_for="p-1", action=Verb.VIEW)
        grant(family.registry, allowed, by="admin", at_us=family.now_us)
        assert await answers(family) == {403}
        assert "The patient does not consent." in (await anna.get("/patients/p-1")).text
        refused = await family.client("admin").post("/permissions", data=PAPER, headers=SAME)
        assert (refused.status_code, "The patient has an account" in refused.text) == (403, True)
    assert "does not follow you" in (await ada.get("/consents")).text


async def test_whom_the_patient_names_follows_without_being_assigned_first(family: Site) -> None:
    family.add_user("otto", Role.CARE_PARTNER)
    await family.client("ada").post("/consents", data=WORD | {"name": "otto", "act": "give"}, headers=SAME)
    assert await answers(family, "otto") == {200}


async def test_nobody_consents_for_somebody_else(family: Site) -> None:
    fields = {"name": "anna", "patient": "p-2", "act": "give"}
    for name in ("ada", "anna", "nurse", "admin"):
        assert (await family.client(name).post("/consents", data=fields, headers=SAME)).status_code == 403
    admin = family.client("admin")
    await admin.post("/impersonate", data={"name": "ada", "why": "to look"}, headers=SAME)
    for act in ("give", "withdraw"):
        assert (await admin.post("/consents", data=WORD | {"act": act}, headers=SAME)).status_code == 403
    said = await family.client("ada").post("/consents", data=WORD | {"name": "nurse", "act": "give"}, headers=SAME)
    assert said.headers["location"] == "/consents?said=unknown"
    assert await answers(family) == {403}


async def test_for_a_patient_without_an_account_what_is_signed_on_paper_is_entered(site: Site) -> None:
    site.add_user("anna", Role.CARE_PARTNER, "p-1", consents=False)
    admin = site.client("admin")
    for name in ("nurse", "anna"):
        assert (await site.client(name).post("/permissions", data=PAPER, headers=SAME)).status_code == 403
    assert "asked for" in (await admin.get("/permissions")).text
    assert (await admin.post("/permissions", data=PAPER, headers=SAME)).status_code == 303
    assert await answers(site) == {200}
    assert "on paper, signed by Eva Example, mother on 2026-03-02" in (await admin.get("/permissions")).text
    line = site.registry.audit()[-1]
    assert (line.by, line.kind, "Eva Example, mother" in line.after) == ("admin", "consent", True)
    assert (
        await admin.post("/permissions", data=PAPER | {"act": "consent_withdrawn"}, headers=SAME)
    ).status_code == 303
    assert await answers(site) == {403}


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ({"signed_by": " "}, 400),
        ({"signed_by": "x" * 101}, 400),
        ({"signed_on": "3 March"}, 400),
        ({"signed_on": "2026-03-02"}, 303),  # the site's day
        ({"signed_on": "2026-03-03"}, 400),
        ({"name": "nurse"}, 404),
        ({"patient": "p-9"}, 404),
    ],
)
async def test_a_paper_names_who_signed_and_a_day_that_has_come(site: Site, field: dict[str, str], status: int) -> None:
    site.add_user("anna", Role.CARE_PARTNER, "p-1", consents=False)
    answer = await site.client("admin").post("/permissions", data=PAPER | field, headers=SAME)
    assert answer.status_code == status
    assert await answers(site) == ({200} if status == 303 else {403})


async def test_a_parent_who_was_granted_it_consents_for_a_child_and_then_no_paper_does(site: Site) -> None:
    site.add_user("anna", Role.CARE_PARTNER, "p-1", consents=False)
    theirs = Permission(id="", issued_to="user/anna", principal_for="p-1", filter=("consent",))
    grant(site.registry, theirs, by="admin", at_us=site.now_us)
    assert (await site.client("admin").post("/permissions", data=PAPER, headers=SAME)).status_code == 403
    assert await answers(site) == {403}
    await site.client("anna").post("/consents", data=WORD | {"act": "give"}, headers=SAME)
    assert await answers(site) == {200}


async def test_a_token_of_the_patient_is_not_the_patients_word(family: Site) -> None:
    _, token = make_key(family.registry, "ada", family.now_us + DAY_US, None, "", by="admin", at_us=family.now_us)
    client, with_token = family.client(), {"authorization": f"Bearer {token}"}
    assert (await client.get("/consents", headers=with_token)).status_code == 200
    for act in ("give", "withdraw"):
        refused = await client.post("/consents", data=WORD | {"act": act}, headers=with_token)
        assert refused.status_code == 403
    assert await answers(family) == {403}
