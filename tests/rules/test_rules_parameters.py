"""Which rules look at whom and with which limits: shipped, deployment, group, patient; and who may set what."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.engine.parameters import Layer, Layers, Override, check_override, resolved
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.engine.zones import transitions, zone_table
from islet.errors import BadInput
from islet.model.people import Patient, Role
from islet.model.time import RECORDS_SINCE_US, from_us, to_us

PLAN = plan(load_rules())
GLUCOSE = PLAN.streams["glucose_mg_dl"]
ANNA = Patient(id="anna", tags=("children", "trial"))


def _set(rule: str, layer: Layer, of: str = "", on: bool | None = None, at: int = 0, **parameters: float) -> Override:
    return Override(rule=rule, layer=layer, of=of, enabled=on, parameters=parameters, author="dr", set_us=at)


def _low(*overrides: Override, patient: Patient = ANNA) -> tuple[float, str]:
    found = resolved(PLAN, Layers.of(overrides), patient)
    return found.values["low_alarm_mg_dl"], found.set_by["low_alarm_mg_dl"]


def _on(rule: str, *overrides: Override, patient: Patient = ANNA) -> tuple[bool, str]:
    found = resolved(PLAN, Layers.of(overrides), patient)
    return found.enabled[rule], found.enabled_by[rule]


_DEPLOYMENT = _set("low", "deployment", low_alarm_mg_dl=75)
_GROUP = _set("low", "group", "children", low_alarm_mg_dl=80)
_PATIENT = _set("low", "patient", "anna", low_alarm_mg_dl=85)


def test_the_layer_nearest_to_the_patient_wins_in_whatever_order_they_were_set() -> None:
    assert _low() == (70, "rule")
    assert _low(_DEPLOYMENT) == (75, "deployment")
    assert _low(_GROUP, _DEPLOYMENT) == (80, "group")
    assert _low(_PATIENT, _GROUP, _DEPLOYMENT) == (85, "patient")
    assert _low(_PATIENT, _GROUP, patient=Patient(id="ben")) == (70, "rule")


def test_the_last_setting_of_a_layer_counts() -> None:
    earlier = _set("low", "patient", "anna", at=1, low_alarm_mg_dl=100)
    later = _set("low", "patient", "anna", at=2, low_alarm_mg_dl=65)
    assert _low(later, earlier) == _low(earlier, later) == (65, "patient")


def test_of_two_groups_the_last_value_counts_and_on_wins_over_off() -> None:
    children = _set("rising_2", "group", "children", on=True, at=1)
    trial = _set("rising_2", "group", "trial", on=False, at=2)
    assert _on("rising_2", children, trial) == _on("rising_2", trial, children) == (True, "group")
    values = [_set("low", "group", tag, at=at, low_alarm_mg_dl=60 + at) for at, tag in ((5, "trial"), (9, "children"))]
    assert _low(*values) == _low(*reversed(values)) == (69, "group")


def test_a_patient_can_switch_off_what_their_group_has_on() -> None:
    group, patient = _set("high", "group", "trial", on=True), _set("high", "patient", "anna", on=False)
    assert _on("high", group) == (True, "group")
    assert _on("high", group, patient) == (False, "patient")


@pytest.mark.parametrize(("layer", "of"), [("deployment", ""), ("group", "trial"), ("patient", "anna")])
def test_urgent_low_stays_on_even_if_the_opposite_is_stored(layer: Layer, of: str) -> None:
    assert _on("urgent_low", _set("urgent_low", layer, of, on=False)) == (True, "rule")
    mask = (
        references(PLAN, Layers.of([_set("urgent_low", layer, of, on=False)]), [ANNA])["glucose_mg_dl"].of("anna").mask
    )
    assert mask >> [rule.name for rule in GLUCOSE.rules].index("urgent_low") & 1


@pytest.mark.parametrize("role", Role)
def test_nobody_may_switch_urgent_low_off(role: Role) -> None:
    with pytest.raises(BadInput, match="nobody can switch it off"):
        check_override(_set("urgent_low", "patient", "anna", on=False), PLAN, role)


@pytest.mark.parametrize(
    ("rule", "role", "allowed"),
    [
        ("high", Role.PATIENT, True),
        ("high", Role.CARE_PARTNER, False),
        ("low", Role.CLINICIAN, True),
        ("low", Role.PATIENT, False),
        ("stuck_sensor", Role.ADMINISTRATOR, True),
        ("stuck_sensor", Role.CLINICIAN, False),
    ],
)
def test_who_may_switch_a_rule_off_is_written_in_it(rule: str, role: Role, allowed: bool) -> None:
    override = _set(rule, "patient", "anna", on=False)
    if allowed:
        check_override(override, PLAN, role)
    else:
        with pytest.raises(BadInput, match="only a"):
            check_override(override, PLAN, role)
    check_override(_set(rule, "patient", "anna", on=True), PLAN, role)


@pytest.mark.parametrize("value", [59.9, 120.1, 70.05, float("nan")])
def test_a_value_outside_of_its_range_is_refused_with_the_range(value: float) -> None:
    with pytest.raises(
        BadInput, match=r"low_alarm_mg_dl: expected (60 to 120 mg/dL|at most 1 decimals|a finite number)"
    ):
        check_override(_set("low", "patient", "anna", low_alarm_mg_dl=value), PLAN, Role.CLINICIAN)
    check_override(_set("low", "patient", "anna", low_alarm_mg_dl=60), PLAN, Role.CLINICIAN)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        (_set("lower", "deployment"), "no rule 'lower'"),
        (_set("low", "deployment", "anna"), "none for the deployment"),
        (_set("low", "patient"), "the id of a patient"),
        (_set("low", "deployment", meal_g=20), "unknown parameter 'meal_g'; there are low_alarm_mg_dl"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(override: Override, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        check_override(override, PLAN, Role.ADMINISTRATOR)


def test_a_stored_value_that_is_no_longer_allowed_counts_as_the_nearest() -> None:
    assert _low(_set("low", "patient", "anna", low_alarm_mg_dl=40)) == (60, "patient")
    assert _low(_set("gone", "patient", "anna", on=True, low_alarm_mg_dl=90)) == (70, "rule")


def test_the_engine_gets_integers_in_the_order_of_the_plan() -> None:
    limits = Layers.of([_set("low", "patient", "anna", low_alarm_mg_dl=82.5)])
    reference = references(PLAN, limits, [Patient(id="anna", high_mg_dl=140), Patient(id="ben")])["glucose_mg_dl"]
    anna = dict(zip(GLUCOSE.parameters, reference.of("anna").parameters, strict=True))
    ben = dict(zip(GLUCOSE.parameters, reference.of("ben").parameters, strict=True))
    assert (anna["low_alarm_mg_dl"], anna["high_mg_dl"], anna["stuck_readings"]) == (825, 1400, 10)
    assert (ben["low_alarm_mg_dl"], ben["high_mg_dl"]) == (700, 1800)
    assert list(reference.patients) == ["anna"]


def test_references_with_the_same_content_have_the_same_version_and_others_do_not() -> None:
    patients = [ANNA, Patient(id="ben", time_zone="Asia/Tokyo"), Patient(id="eva", tags=("simulated",))]
    versions = {
        references(PLAN, layers, some)["glucose_mg_dl"].version
        for layers, some in [
            (Layers.of([_PATIENT, _GROUP]), patients),
            (Layers.of([_GROUP, _PATIENT]), patients[::-1]),
        ]
    }
    assert len(versions) == 1
    changed = [
        references(PLAN, Layers.of([_PATIENT]), [ANNA])["glucose_mg_dl"].version,
        references(PLAN, Layers.of([_DEPLOYMENT]), [ANNA])["glucose_mg_dl"].version,
        references(PLAN, Layers(), [ANNA])["glucose_mg_dl"].version,
        references(PLAN, Layers(), [ANNA], time_zone="Asia/Tokyo")["glucose_mg_dl"].version,
        *versions,
    ]
    assert len(set(changed)) == len(changed)


def test_a_zone_is_known_by_its_number() -> None:
    patients = [
        Patient(id="p1", time_zone="Europe/Vienna"),
        Patient(id="p2"),
        Patient(id="p3", time_zone="Europe/Vienna"),
    ]
    reference = references(PLAN, Layers(), patients)["glucose_mg_dl"]
    assert [reference.of(name).zone for name in ("p1", "p2", "p3", "unknown")] == [1, 0, 1, 0]
    assert reference.zones.shape[0] == 2 and reference.zones[0].tolist()[0][1] == 0
    home = references(PLAN, Layers(), patients, time_zone="Europe/Vienna")["glucose_mg_dl"]
    assert list(home.patients) == ["p2"]


_INSTANTS = st.integers(RECORDS_SINCE_US, to_us(datetime(2059, 12, 31, tzinfo=UTC))).map(from_us)


@given(
    st.sampled_from(["Europe/Vienna", "America/St_Johns", "Africa/Casablanca", "Asia/Kolkata", "Pacific/Apia", "UTC"]),
    _INSTANTS,
)
def test_a_zones_table_tells_the_same_time_as_the_zone(name: str, instant: datetime) -> None:
    at_us = to_us(instant)
    (row,) = zone_table([name]).tolist()
    ahead_us = [ahead for begin, ahead in row if begin <= at_us][-1]
    local = from_us(at_us + ahead_us).replace(tzinfo=None)
    assert local == instant.astimezone(ZoneInfo(name)).replace(tzinfo=None)


def test_a_transition_is_known_to_the_second() -> None:
    spring = to_us(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
    assert (spring, 7_200_000_000) in transitions("Europe/Vienna")


def test_shorter_zones_are_filled_with_their_last_row() -> None:
    table = zone_table(["UTC", "Europe/Vienna"])
    assert table[0].tolist() == [table[0, 0].tolist()] * table.shape[1]
