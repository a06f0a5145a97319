"""What becomes known of a patient holds from the next reading on, and in a replay from that very reading, although the
engine's state was not saved for it."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.engine.adopted import ADOPTED
from islet.engine.embedded import EmbeddedEngine
from islet.engine.parameters import NO_LAYERS, Layers, Override
from islet.engine.references import FEW, References, references
from islet.engine.rules import Plan, load_rules, plan
from islet.engine.saving import SNAPSHOT
from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange
from islet.model.people import Patient
from tests.engine.platforms import PLAN, Crash, Platform, Rules, platform
from tests.engine.streams import Point

PEOPLE = ("p1", "p2", "p3")
SEED = "seed_demonstration"


class People:
    """Three patients, who change, and the rules that follow them."""

    def __init__(self, made: Plan = PLAN) -> None:
        self._plan = made
        self._patients = {id: Patient(id=id, tags=("simulated",)) for id in PEOPLE}
        self._off: set[str] = set()
        self._book = References(made, NO_LAYERS)
        self._references = self._book.taken(self._patients.values())

    @property
    def rules(self) -> Rules:
        return Rules(self._plan, self._references)

    def change(self, id: str, how: str) -> None:
        patient = self._patients.get(id, Patient(id=id))
        if how == "tag":
            patient = structs.replace(patient, tags=() if patient.tags else ("simulated",))
        elif how == "zone":
            patient = structs.replace(patient, time_zone="UTC" if patient.time_zone != "UTC" else "Asia/Shanghai")
        else:
            self._off ^= {id}
        self._patients[id] = patient
        switched = [
            Override(rule=rule, layer="patient", of=id, enabled=False, author="x", set_us=1)
            for id in sorted(self._off)
            for rule in ("low", "no_data")
        ]
        self._book.layers = Layers.of(switched)
        self._references = self._book.taken([patient])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reading"), st.sampled_from(PEOPLE), st.sampled_from([45, 62, 90, 118, 260])),
        st.tuples(st.just("change"), st.sampled_from(PEOPLE), st.sampled_from(["tag", "zone", "off"])),
        st.tuples(st.just("time"), st.just(""), st.sampled_from([1, 25])),
        st.tuples(st.just("stop"), st.just(""), st.sampled_from(["crash", "close", "save"])),
    ),
    min_size=4,
    max_size=40,
)


def said(
    steps: list[tuple[str, str, object]], *, stops: bool, keeps: bool, beside: bool, crash_at: int = 0
) -> list[AlertChange]:
    """What the engine says of the steps; without `keeps` it saves its state at each change."""
    with platform(2, beside=beside) as p, patch.object(EmbeddedEngine, "_keep", _keeping(keeps)):
        people, minute = People(), 0.0
        p.rules = people.rules
        p.run(0)
        p.engine.snapshot()
        p.writer.crash_at = crash_at or None
        for what, whom, how in steps:
            minute += 0.05  # so that the engine, also one that was started again, has looked at each instant
            if what == "reading":
                minute += 5
                p.send(Point(minute, float(str(how)), patient=whom))
            elif what == "time":
                minute += float(str(how))
            elif what == "change":
                people.change(whom, str(how))
                p.rules = people.rules
            elif stops:
                _stop(p, str(how))
            p.run(minute)
        p.run(minute + 30)
        return p.said()


_REAL = EmbeddedEngine._keep


def _keeping(keeps: bool) -> Callable[..., bool]:
    return _REAL if keeps else lambda engine, few: False


def _stop(p: Platform, how: str) -> None:
    try:
        if how == "save":
            p.engine._begin_snapshot()
            return
        if how == "close":
            p.engine.close()
    except Crash:
        pass
    p.start()


@given(STEPS, st.booleans(), st.integers(0, 12))
@settings(deadline=None)
def test_a_replay_meets_each_reading_with_what_was_known_then(
    steps: list[tuple[str, str, object]], beside: bool, crash_at: int
) -> None:
    expected = said(steps, stops=False, keeps=False, beside=beside)
    assert said(steps, stops=False, keeps=True, beside=beside) == expected
    assert said(steps, stops=True, keeps=True, beside=beside, crash_at=crash_at) == expected


def _saves(log: MemoryLog) -> object:
    return log.state(SNAPSHOT)


def test_for_one_patient_the_state_is_not_saved_and_for_many_it_is() -> None:
    with platform(1) as p:
        people = People()
        p.rules = people.rules
        p.send(Point(0, 62))
        p.run(0)
        p.engine.snapshot()
        saved = _saves(p.log)
        people.change("p1", "tag")
        p.rules = people.rules
        p.run(1)
        assert (_saves(p.log), p.log.state(ADOPTED) is not None) == (saved, True)
        p.rules = Rules(PLAN, references(PLAN, NO_LAYERS, [_tagged(f"q{n}") for n in range(FEW + 1)]))
        p.run(2)
        assert _saves(p.log) != saved
        assert p.log.state(ADOPTED) is None


def _tagged(id: str) -> Patient:
    return Patient(id=id, tags=("simulated",))


def test_nothing_is_kept_of_who_was_erased() -> None:
    with platform(1) as p:
        people = People()
        p.rules = people.rules
        p.send(Point(0, 62))
        p.run(0)
        p.engine.snapshot()
        people.change("p2", "tag")
        p.rules = people.rules
        p.run(1)
        assert b"p2" in (p.log.state(ADOPTED) or b"")
        p.rules = Rules(PLAN, references(PLAN, NO_LAYERS, [_tagged("p1"), _tagged("p3")], erased=["p2"]))
        p.run(2)
        assert p.log.state(ADOPTED) is None
        assert p.engine._shard.erased == {"p2"}


def test_a_list_that_is_too_long_has_the_state_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.engine.adopted._MOST_BYTES", 600)
    with platform(1) as p:
        people = People()
        p.rules = people.rules
        p.run(0)
        p.engine.snapshot()
        sizes = []
        for minute in range(1, 7):
            people.change("p1", "tag")
            p.rules = people.rules
            p.run(minute)
            sizes.append(len(p.log.state(ADOPTED) or b""))
        assert 0 in sizes
        assert max(sizes) <= 600


def test_references_that_followed_are_those_that_are_made_anew() -> None:
    everything = plan(load_rules())  # with rules that look at the local time
    people = People(everything)
    for id, how in [("p1", "tag"), ("p2", "off"), ("new", "zone"), ("p1", "tag"), ("p2", "off"), ("p3", "tag")]:
        before = people.rules.references
        people.change(id, how)
        after = people.rules.references
        anew = References(everything, people._book.layers)
        for name, one in anew.taken([people._patients[id] for id in sorted(people._patients)]).items():
            assert dict(after[name].patients) == dict(one.patients)
            assert after[name].version == one.version
            changed = after[name].changed_since(before[name].version)
            assert changed is not None and changed.keys() <= {id}
            assert changed == {key: after[name].of(key) for key in changed}
