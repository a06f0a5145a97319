"""The page about groups: administrators change them, and it holds at once."""

import pytest

from islet.store.patient_groups import members
from islet.store.principals import read_groups
from tests.web.portal import Site

SAME = {"sec-fetch-site": "same-origin"}


async def test_a_group_of_patients_is_made_given_renamed_and_ended_on_the_page(site: Site) -> None:
    admin, nurse = site.client("admin"), site.client("nurse")

    async def change(**fields: str) -> int:
        return (await admin.post("/groups", data=fields, headers=SAME)).status_code

    assert (await nurse.get("/patients/p-2")).status_code == 403
    assert await change(act="add", name="ward-3", members="p-1, p-2") == 303
    assert await change(act="give", name="ward-3", user="nurse") == 303
    assert (await nurse.get("/patients/p-2")).status_code == 200
    assert (await nurse.get("/rules/groups/ward-3")).status_code == 200
    page = (await admin.get("/groups")).text
    assert "ward-3" in page and "p-1, p-2" in page
    assert await change(act="rename", name="ward-3", to="ward-4") == 303
    assert (await nurse.get("/patients/p-2")).status_code == 200
    assert await change(act="remove", name="ward-4", members="p-2") == 303
    assert (await nurse.get("/patients/p-2")).status_code == 403
    assert await change(act="delete", name="ward-4") == 303
    assert "ward-4" not in members(site.registry.patients())
    assert {line.by for line in site.registry.audit() if line.kind == "patient_group"} == {"admin"}


async def test_a_group_of_staff_is_kept_and_removed(site: Site) -> None:
    admin = site.client("admin")
    kept = {"act": "staff", "name": "night", "members": "user/nurse"}
    assert (await admin.post("/groups", data=kept, headers=SAME)).status_code == 303
    assert read_groups(site.registry)["night"].members == ("user/nurse",)
    assert "night" in (await admin.get("/groups")).text
    assert (await admin.post("/groups", data=kept | {"members": ""}, headers=SAME)).status_code == 303
    assert read_groups(site.registry) == {}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"act": "add", "name": "ward-3", "members": ""}, 400),
        ({"act": "add", "name": "a b", "members": "p-1"}, 400),
        ({"act": "add", "name": "ward-3", "members": "p-99"}, 404),
        ({"act": "rename", "name": "none", "to": "other"}, 404),
        ({"act": "delete", "name": "none"}, 404),
        ({"act": "give", "name": "none", "user": "nurse"}, 404),
        ({"act": "other"}, 400),
    ],
)
async def test_what_cannot_be_done_is_refused(site: Site, fields: dict[str, str], status: int) -> None:
    before = members(site.registry.patients())
    assert (await site.client("admin").post("/groups", data=fields, headers=SAME)).status_code == status
    assert (await site.client("nurse").post("/groups", data=fields, headers=SAME)).status_code == 403
    assert members(site.registry.patients()) == before
