"""The rules in the portal: who sees them, who changes what, and what is told at the field."""

import pytest

from islet.engine.rules import Rule, load_rules
from islet.model.people import Patient, Role
from islet.web.rule_cards import in_unit
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


async def test_a_clinician_reads_the_rules_of_the_groups_of_their_own_patients_alone(site: Site) -> None:
    for patient, tag in (("p-1", "ward-1"), ("p-2", "ward-2")):
        site.registry.put_patient(Patient(id=patient, tags=(tag,)))
    nurse, admin = site.client("nurse"), site.client("admin")
    for client, statuses in ((nurse, (200, 404, 404)), (admin, (200, 200, 404))):
        page = (await client.get("/rules")).text
        assert ("ward-1" in page, "ward-2" in page) == (True, statuses[1] == 200)
        paths = [f"/rules/groups/{tag}" for tag in ("ward-1", "ward-2", "ward-9")]
        assert tuple([(await client.get(path)).status_code for path in paths]) == statuses


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


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("above 115 mg/dL, or its average above 105 mg/dL", "above 6.4 mmol/L, or its average above 5.8 mmol/L"),
        ("falls by 2 mg/dL or more a minute", "falls by 0.11 mmol/L or more a minute"),
        (
            "血糖等于或低于 55 mg/dL（3.1 mmol/L）；回到 60 mg/dL 时结束。",
            "血糖等于或低于 3.1 mmol/L；回到 3.3 mmol/L 时结束。",
        ),
        ("ends 10 mmHg above it, after 15 minutes", "ends 10 mmHg above it, after 15 minutes"),
    ],
)
def test_a_rules_sentence_is_in_the_readers_unit(sentence: str, shown: str) -> None:
    assert in_unit(sentence, "mmol/L") == shown
    assert in_unit(sentence, "mg/dL") == sentence


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.name)
def test_every_shipped_rule_can_be_read_by_who_thinks_in_mmol(rule: Rule) -> None:
    for sentence in (rule.description, *rule.descriptions.values()):
        assert "mg/dL" not in in_unit(sentence, "mmol/L")
        assert sentence


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
    trail = [line for line in site.registry.audit() if line.kind != "consent"]
    refused = [(line.by, line.action.partition(":")[0]) for line in trail]
    assert refused == [("nurse", "refused"), ("nurse", "refused"), ("mother", "refused")]
    assert (await site.client("admin").post("/rules", data=form, headers=SAME)).status_code == 303
    assert len(site.registry.audit()) == 5
