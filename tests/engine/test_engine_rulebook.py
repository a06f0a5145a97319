"""The rule book: what is in force for whom, from the moment at which somebody changes it; and what cannot be done."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.access.audit import first_broken
from islet.engine.in_force import Rules
from islet.engine.parameters import Layer, Override
from islet.engine.program import MOST_RULES
from islet.engine.rulebook import RuleBook, forecast_by
from islet.engine.rules import load_rules
from islet.engine.standing import Place, standings
from islet.errors import AlreadyExists, BadInput, IsletError, NotFound, RuleRefused
from islet.forecast.serving import Choice, Shadow
from islet.model.people import Patient, Role
from islet.store.base import EntryKind
from islet.store.registry import SqliteRegistry

SHIPPED = load_rules()
KEY = bytes(32)
TAGS = ("simulated", "ward-3", "pregnant")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    one = SqliteRegistry(tmp_path / "store.db", KEY)
    yield one
    one.close()


@pytest.fixture
def book(registry: SqliteRegistry) -> RuleBook:
    return RuleBook(registry, SHIPPED)


def text(name: str, condition: str = "glucose_mg_dl > 300", more: str = "") -> str:
    """A rule's file; its condition is on line 6 and what comes behind `more`."""
    return (
        f'/*\nname = "{name}"\ntitle = "{name}"\nseverity = "notice"\n{more}*/\n'
        f"SELECT patient, device, ts FROM readings JOIN patients USING (patient) WHERE {condition}\n"
    )


def limit(name: str) -> str:
    return f'[parameters.{name}]\ndefault = 200\nmin = 100\nmax = 300\nunit = "mg/dL"\n'


def put(registry: SqliteRegistry, name: str, sql: str) -> None:
    """As another version of Islet, or somebody's program, may have left it there."""
    import msgspec

    body = msgspec.json.encode({"sql": sql})
    registry.put_entry(EntryKind.RULE, name, body, by="test", at_us=1)


def override(rule: str, of: str = "", *, at: int = 1, on: bool | None = None, **parameters: float) -> Override:
    """For the deployment, a "#group", or a patient."""
    layer: Layer = "deployment" if not of else "group" if of.startswith("#") else "patient"
    return Override(
        rule=rule, layer=layer, of=of.removeprefix("#"), enabled=on, parameters=parameters, author="wang", set_us=at
    )


def looked_at_by(rules: Rules, patient: str) -> set[str]:
    """The names of the rules that look at a patient, as the engine is told it."""
    found = set()
    for quantity, stream in rules.plan.streams.items():
        mask = rules.reference(quantity).of(patient).mask
        found |= {rule.name for bit, rule in enumerate(stream.rules) if mask >> bit & 1}
    return found


def level(rules: Rules, patient: str, name: str) -> float:
    """A parameter of a patient, as the engine is told it."""
    stream = next(one for one in rules.plan.streams.values() if name in one.parameters)
    column = stream.parameters.index(name)
    integer = rules.reference(stream.quantity).of(patient).parameters[column]
    return integer / float(10 ** rules.plan.parameters[name].decimals)


def test_what_is_in_force_is_the_same_object_until_something_changes(registry: SqliteRegistry, book: RuleBook) -> None:
    before = book.current()
    registry.put_entry(EntryKind.JOB, "cohorts", b"{}", by="job", at_us=1)
    assert book.current() is before
    registry.put_patient(Patient(id="anna", tags=("simulated",)))
    after = book.current()
    assert after is not before
    assert after.plan is before.plan
    assert looked_at_by(after, "anna") - looked_at_by(after, "ben") == {"seed_demonstration"}


def test_a_change_by_another_process_holds_at_once(tmp_path: Path, registry: SqliteRegistry, book: RuleBook) -> None:
    assert "high" in looked_at_by(book.current(), "anna")
    other = SqliteRegistry(tmp_path / "store.db", KEY)
    RuleBook(other, SHIPPED).set(override("high", on=False), Role.ADMINISTRATOR)
    other.close()
    assert "high" not in looked_at_by(book.current(), "anna")


def test_an_own_rule_is_added_changed_and_removed_without_a_restart(book: RuleBook) -> None:
    shipped = looked_at_by(book.current(), "anna")
    book.add(text("mine"), by="wang", at_us=1)
    assert looked_at_by(book.current(), "anna") == {*shipped, "mine"}
    book.add(text("mine", "glucose_mg_dl > 310"), by="wang", at_us=2)
    assert "310" in book.current().rule("mine").sql
    book.remove("mine", by="wang", at_us=3)
    assert looked_at_by(book.current(), "anna") == shipped
    assert book.current().own == {}


def test_a_broken_rule_is_left_out_says_why_and_stops_no_other(registry: SqliteRegistry, book: RuleBook) -> None:
    put(registry, "bad", text("bad", "glucose > 3"))
    put(registry, "worse", "no rule at all")
    put(registry, "good", text("good"))
    put(registry, "low", text("low"))
    now = book.current()
    assert {one.name: one.reason.partition(":")[0] for one in now.broken} == {
        "bad": "line 6",
        "worse": "line 1",
        "low": "line 1",
    }
    assert looked_at_by(now, "anna") >= {"good", "low", "urgent_low"}
    assert now.rule("low").title != "low"


def test_a_setting_that_cannot_be_read_is_left_out_and_stops_no_other(registry: SqliteRegistry, book: RuleBook) -> None:
    registry.put_entry(EntryKind.RULE_SETTING, "deployment::low", b'{"rule": 3}', by="test", at_us=1)
    book.set(override("high", on=False), Role.ADMINISTRATOR)
    assert looked_at_by(book.current(), "anna") >= {"low", "urgent_low"}
    assert "high" not in looked_at_by(book.current(), "anna")


@pytest.mark.parametrize(
    ("sql", "refusal"),
    [
        ("SELECT patient, day_ends AS ts FROM patients", 'DuckDB: .*"day_ends"'),
        ("SELECT patient, GETENV('HOME') AS ts FROM patients", "DuckDB: .*getenv"),
        ("SELECT 5 AS patient, day_end_ts AS ts FROM patients", "patient: expected the id of a patient; got INTEGER"),
        ("SELECT patient, day AS ts FROM days", "ts: expected an instant, such as day_end_ts; got DATE"),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n FROM t) SELECT patient, day_end_ts AS ts"
            " FROM patients, t",
            "may never end",
        ),
    ],
)
def test_a_rule_about_whole_days_that_duckdb_cannot_run_is_not_taken(book: RuleBook, sql: str, refusal: str) -> None:
    front = '/*\nname = "mine"\ntitle = "Mine"\nseverity = "notice"\nevery = "1 day"\n*/\n'
    with pytest.raises(RuleRefused, match=refusal):
        book.add(front + sql, by="wang", at_us=1)
    assert book.current().own == {}


def test_all_that_can_raise_an_alert_has_a_title_in_both_languages(book: RuleBook) -> None:
    book.add(text("mine"), by="wang", at_us=1)
    now = book.current()
    for language in ("en", "zh-CN"):
        titles = now.titles(language)
        assert titles.keys() == {rule.name for rule in now.plan.rules} | {"device_clock", "pattern_change"}
        chinese = {name for name, title in titles.items() if any("一" <= letter <= "鿿" for letter in title)}
        assert chinese == (titles.keys() - {"mine"} if language == "zh-CN" else set())
    assert now.title("device_clock", "zh-CN") == "设备时钟错误"
    assert now.title("of_last_year", "zh-CN") == "Of last year"


def test_rules_beyond_what_one_stream_can_hold_are_left_out_one_by_one(
    registry: SqliteRegistry, book: RuleBook
) -> None:
    room = MOST_RULES - len(book.current().plan.streams["pulse_bpm"].rules)
    for number in range(room + 2):
        sql = text(f"pulse_{number:02}", "pulse_bpm > 100").replace("FROM readings", "FROM vitals")
        put(registry, f"pulse_{number:02}", sql)
    now = book.current()
    assert len(now.plan.streams["pulse_bpm"].rules) == MOST_RULES
    assert [one.name for one in now.broken] == [f"pulse_{number:02}" for number in (room, room + 1)]


@pytest.mark.parametrize("names", [("a_user", "z_owner"), ("z_user", "a_owner")])
def test_a_rule_may_use_the_limit_of_another_whichever_comes_first(book: RuleBook, names: tuple[str, str]) -> None:
    user, owner = names
    book.add(text(owner, "glucose_mg_dl > my_limit", limit("my_limit")), by="wang", at_us=1)
    book.add(text(user, "glucose_mg_dl > my_limit + 10"), by="wang", at_us=2)
    assert book.current().broken == ()
    with pytest.raises(RuleRefused, match=f"then {user} would not work"):
        book.remove(owner, by="wang", at_us=3)
    with pytest.raises(RuleRefused, match=f"then {user} would not work"):
        book.add(text(owner, "glucose_mg_dl > 200"), by="wang", at_us=3)
    book.remove(user, by="wang", at_us=4)
    book.remove(owner, by="wang", at_us=5)


def test_what_cannot_be_added_or_removed_is_refused_and_changes_nothing(
    registry: SqliteRegistry, book: RuleBook
) -> None:
    with pytest.raises(AlreadyExists, match="shipped"):
        book.add(text("low"), by="wang", at_us=1)
    with pytest.raises(RuleRefused, match="line 6: unknown column 'glucose'"):
        book.add(text("mine", "glucose > 3"), by="wang", at_us=1)
    with pytest.raises(NotFound, match="switch it off instead"):
        book.remove("low", by="wang", at_us=1)
    with pytest.raises(NotFound, match="not in the book"):
        book.remove("mine", by="wang", at_us=1)
    assert registry.audit() == []


def test_the_narrower_setting_wins_and_its_source_is_told(registry: SqliteRegistry, book: RuleBook) -> None:
    anna = Patient(id="anna", tags=("pregnant",))
    registry.put_patient(anna)
    assert level(book.current(), "anna", "high_alarm_mg_dl") == 250
    for at, of, value in ((1, "anna", 200), (2, "", 240), (3, "#pregnant", 180)):
        book.set(override("high", of, at=at, high_alarm_mg_dl=value), Role.ADMINISTRATOR)
    now = book.current()
    assert [level(now, who, "high_alarm_mg_dl") for who in ("anna", "ben")] == [200, 240]
    places = (Place.everybody(), Place.group("pregnant"), Place.one(anna))
    seen = [next(one for one in standings(now, place) if one.rule.name == "high").levels[0] for place in places]
    assert [(one.value, one.set_by, one.here, one.without) for one in seen] == [
        (240, "deployment", 240, 250),
        (180, "group", 180, 240),
        (200, "patient", 200, 180),
    ]


def test_every_change_is_one_line_of_the_trail_and_a_change_of_nothing_is_none(
    registry: SqliteRegistry, book: RuleBook
) -> None:
    registry.put_patient(Patient(id="anna"))
    book.set(override("high", "anna", at=1, high_alarm_mg_dl=200), Role.CLINICIAN)
    book.set(override("high", "anna", at=2, high_alarm_mg_dl=200), Role.CLINICIAN)
    book.set(override("low", "anna", at=3), Role.CLINICIAN)
    book.set(override("high", "anna", at=4), Role.CLINICIAN)
    book.add(text("mine"), by="li", at_us=5)
    lines = registry.audit()
    assert [(line.at_us, line.by, line.action, line.kind, line.id) for line in lines] == [
        (1, "wang", "added", "rule_setting", "patient:anna:high"),
        (4, "wang", "removed", "rule_setting", "patient:anna:high"),
        (5, "li", "added", "rule", "mine"),
    ]
    assert first_broken(lines) is None
    assert book.current().overrides == ()


def test_a_removed_rule_takes_its_settings_along(registry: SqliteRegistry, book: RuleBook) -> None:
    book.add(text("mine", "glucose_mg_dl > my_limit", limit("my_limit")), by="wang", at_us=1)
    book.set(override("mine", my_limit=150), Role.ADMINISTRATOR)
    book.remove("mine", by="wang", at_us=2)
    assert registry.entries(EntryKind.RULE_SETTING) == {}
    book.add(text("mine", "glucose_mg_dl > my_limit", limit("my_limit")), by="wang", at_us=3)
    assert level(book.current(), "anna", "my_limit") == 200


@pytest.mark.parametrize(
    ("role", "setting", "refusal"),
    [
        (Role.ADMINISTRATOR, override("urgent_low", on=False), "nobody can switch it off"),
        (Role.CLINICIAN, override("urgent_low", "anna", on=False), "nobody can switch it off"),
        (Role.PATIENT, override("low", "anna", on=False), "can switch it off"),
        (Role.PATIENT, override("low", "anna", low_alarm_mg_dl=65), "not one that patients change"),
        (Role.CLINICIAN, override("low", "anna", low_alarm_mg_dl=59.9), "60 to 120"),
        (Role.CLINICIAN, override("low", "anna", low_alarm_mg_dl=120.1), "60 to 120"),
        (Role.CLINICIAN, override("low", "anna", low_alarm_mg_dl=70.25), "decimals"),
        (Role.CLINICIAN, override("low", "anna", high_alarm_mg_dl=200), "unknown parameter"),
        (Role.CLINICIAN, override("none", "anna", on=True), "no rule 'none'"),
        (Role.CLINICIAN, override("low", "nobody", on=True), "no such patient"),
        (Role.CLINICIAN, override("low", "#" + "a" * 65, on=True), "at most 64 printable"),
        (Role.CLINICIAN, override("low", "#ward\n3", on=True), "at most 64 printable"),
    ],
)
def test_what_may_not_be_set_is_refused_with_a_reason(
    registry: SqliteRegistry, book: RuleBook, role: Role, setting: Override, refusal: str
) -> None:
    registry.put_patient(Patient(id="anna"))
    with pytest.raises(IsletError, match=refusal) as refused:
        book.set(setting, role)
    assert isinstance(refused.value, BadInput | NotFound)
    assert registry.audit() == []


def test_urgent_low_looks_at_everybody_whatever_is_stored(registry: SqliteRegistry, book: RuleBook) -> None:
    import msgspec

    body = msgspec.json.encode(override("urgent_low", "anna", on=False))
    registry.put_patient(Patient(id="anna"))
    registry.put_entry(EntryKind.RULE_SETTING, "patient:anna:urgent_low", body, by="test", at_us=1)
    assert "urgent_low" in looked_at_by(book.current(), "anna")


# random settings, patients and rules

FREE = [rule.name for rule in SHIPPED if rule.switch_off != "nobody" and not rule.every]
WHO = ("", *(f"#{tag}" for tag in TAGS), "anna", "ben")
SETTINGS = st.lists(
    st.tuples(
        st.sampled_from([*FREE[:3], "high", "seed_demonstration", "rising_2"]),
        st.sampled_from(WHO),
        st.sampled_from((True, False, None)),
        st.sampled_from((None, 125.0, 200.0, 275.5)),
    ),
    max_size=12,
)
PEOPLE = st.fixed_dictionaries({name: st.sets(st.sampled_from(TAGS)) for name in ("anna", "ben", "cleo")})


def slowly(settings: Sequence[Override], patient: str, tags: set[str]) -> tuple[set[str], float]:
    """Who is looked at by what, and the high alarm limit, written down as the rules of the house say it."""
    last = {(one.rule, one.layer, one.of): one for one in settings}
    on = {rule.name: rule.applies_to(tags) for rule in SHIPPED}
    high = 250.0
    for layer, of in (("deployment", {""}), ("group", tags), ("patient", {patient})):
        here = [one for one in last.values() if one.layer == layer and one.of in of]
        for rule in on:
            switches = [one.enabled for one in here if one.rule == rule and one.enabled is not None]
            if switches:
                on[rule] = any(switches)
        limits = [(one.set_us, one.parameters["high_alarm_mg_dl"]) for one in here if one.parameters]
        high = max(limits)[1] if limits else high
    return {name for name, is_on in on.items() if is_on and not next(r for r in SHIPPED if r.name == name).every}, high


@settings(max_examples=12, deadline=None)
@given(SETTINGS, PEOPLE)
def test_the_engine_is_told_what_a_slow_reading_of_the_settings_gives(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: list[tuple[str, str, bool | None, float | None]],
    people: dict[str, set[str]],
) -> None:
    registry = SqliteRegistry(tmp_path_factory.mktemp("book") / "store.db", KEY)
    book = RuleBook(registry, SHIPPED)
    for name in ("anna", "ben", "cleo"):
        registry.put_patient(Patient(id=name))
    made: list[Override] = []
    for at, (rule, of, on, value) in enumerate(chosen, start=1):
        if at == len(chosen) // 2:
            for name, tags in people.items():
                registry.put_patient(Patient(id=name, tags=tuple(sorted(tags))))
            book.current()
        parameters = {"high_alarm_mg_dl": value} if rule == "high" and value is not None else {}
        one = override(rule, of, at=at, on=on, **parameters)
        if (on, parameters) != (None, {}):
            before = [old for old in made if (old.rule, old.layer, old.of) == (one.rule, one.layer, one.of)]
            said = {(old.enabled, tuple(old.parameters.items())) for old in before[-1:]}
            if (one.enabled, tuple(one.parameters.items())) not in said:
                made.append(one)
            book.set(one, Role.ADMINISTRATOR)
    for name, tags in people.items():
        registry.put_patient(Patient(id=name, tags=tuple(sorted(tags))))
    now = book.current()
    told = {name: (looked_at_by(now, name), level(now, name, "high_alarm_mg_dl")) for name in people}
    assert told == {name: slowly(made, name, tags) for name, tags in people.items()}
    registry.close()


def test_the_model_that_forecasts_can_be_changed_and_the_rules_that_foretell_are_known(
    book: RuleBook, registry: SqliteRegistry
) -> None:
    before = book.current()
    assert before.foretelling == {"low_soon", "urgent_low_soon", "high_soon"}
    assert before.plan.foreteller is not None and before.plan.foreteller.name == "pooled"
    forecast_by(registry, Choice(model="damped_slope", why="worse than nothing", since_us=1), by="drift")
    after = book.current()
    assert after.plan is not before.plan
    assert after.plan.foreteller == Shadow(name="damped_slope")
    assert book.current() is after
