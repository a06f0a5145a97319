"""The rules in the portal: who sees them, who changes what, and what is told at the field."""

import pytest

from islet.model.people import Role
from tests.web.portal import Site

SAME = {"sec-fetch-site": "same-origin"}


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.ADMINISTRATOR, {"/rules": 200, "/patients/p-1/rules": 200, "/patients/p-2/rules": 200}),
        (Role.CLINICIAN, {"/rules": 200, "/patients/p-1/rules": 200, "/patients/p-2/rules": 403}),
        (Role.CARE_PARTNER, {"/rules": 403, "/patients/p-1/rules": 200, "/patients/p-2/rules": 403}),
        (Role.PATIENT, {"/rules": 403, "/patients/p-1/rules": 200, "/patients/p-2/rules": 403}),
    ],
)
async def test_each_role_sees_its_own_rules(site: Site, role: Role, statuses: dict[str, int]) -> None:
    site.add_user("someone", role, "p-1")
    client = site.client("someone")
    assert {path: (await client.get(path)).status_code for path in statuses} == statuses


async def test_a_clinician_sets_a_limit_of_their_patient_in_their_unit(site: Site) -> None:
    site.add_user("arzt", Role.CLINICIAN, "p-1", unit="mmol/L")
    client = site.client("arzt")
    form = {"rule": "low", "enabled": "", "level.low_alarm_mg_dl": "4.5"}
    answer = await client.post("/patients/p-1/rules", data=form, headers=SAME)
    assert answer.status_code == 303
    assert site.context.rules is not None
    (one,) = site.context.rules.current().overrides
    assert (one.rule, one.of, one.parameters, one.author) == ("low", "p-1", {"low_alarm_mg_dl": 81.1}, "arzt")
    again = await client.post("/patients/p-1/rules", data=form, headers=SAME)
    assert again.status_code == 303
    assert [line.by for line in site.registry.audit()] == ["arzt"]
    assert "4.5" in (await client.get("/patients/p-1")).text


async def test_what_is_out_of_range_is_told_at_the_field_and_kept_there(site: Site) -> None:
    form = {"rule": "low", "enabled": "", "level.low_alarm_mg_dl": "59"}
    answer = await site.client("nurse").post("/patients/p-1/rules", data=form, headers=SAME)
    assert answer.status_code == 400
    assert "Enter a number from 60 to 120 mg/dL" in answer.text
    assert 'value="59"' in answer.text
    assert site.registry.audit() == []


@pytest.mark.parametrize("user", ["nurse", "admin"])
async def test_urgent_low_cannot_be_switched_off_for_a_patient(site: Site, user: str) -> None:
    form = {"rule": "urgent_low", "enabled": "off"}
    answer = await site.client(user).post("/patients/p-1/rules", data=form, headers=SAME)
    assert answer.status_code == 400
    assert "Nobody can switch it off." in answer.text
    assert site.registry.audit() == []


async def test_only_those_who_may_change_something(site: Site) -> None:
    form = {"rule": "high", "enabled": "off"}
    site.add_user("mother", Role.CARE_PARTNER, "p-1")
    assert (await site.client("nurse").post("/rules", data=form, headers=SAME)).status_code == 403
    assert (await site.client("nurse").post("/patients/p-2/rules", data=form, headers=SAME)).status_code == 403
    assert (await site.client("mother").post("/patients/p-1/rules", data=form, headers=SAME)).status_code == 403
    cross = await site.client("admin").post("/rules", data=form, headers={"sec-fetch-site": "cross-site"})
    assert cross.status_code == 403
    assert site.registry.audit() == []
    assert (await site.client("admin").post("/rules", data=form, headers=SAME)).status_code == 303
    assert len(site.registry.audit()) == 1
