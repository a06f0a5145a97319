"""Until when what a rule says of somebody is known: what there is to know of each kind of rule."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from islet.engine.rulebook import RuleBook
from islet.known import known_us, reached
from islet.log.base import Append, Commit, CursorMove
from islet.log.memory import MemoryLog
from islet.model.batch import METHOD_CODES, DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import Vital
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us
from islet.model.topics import Topic
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.follow import Follower
from islet.store.sqlite import SqliteStore

NOW_US = 20_000 * DAY_US
READINGS = Topic.GLUCOSE_READINGS


class Desk:
    def __init__(self, path: Path, rules: RuleBook) -> None:
        self.log, self.rules = MemoryLog(partitions=1), rules.current()
        self.store = SqliteStore(path / "derived.db", bytes(32))

    def reads(self, ago_us: int) -> None:
        row = ReadingRow("p-1", "cgm-1", NOW_US - ago_us, 1000, 100.0, 0, 0, METHOD_CODES.index("cgm"))
        self._take(Append(topic=READINGS, batch=readings_batch([row])))

    def beats(self, ago_us: int, vital: Vital) -> None:
        row = DocumentRow("p-1", "watch-1", NOW_US - ago_us, "vital", encode_event(vital).decode())
        self._take(Append(topic=Topic.VITALS, batch=documents_batch([row])))

    def _take(self, append: Append) -> None:
        self.log.commit([Commit(received_at_us=NOW_US, appends=[append])])
        Follower(self.log, self.store).run_once(0)

    def looks(self, topic: Topic) -> None:
        """The engine has looked at all that there is."""
        move = CursorMove(consumer="engine", topic=topic, partition=0, offset=self.log.end(topic)[0])
        self.log.commit([Commit(received_at_us=NOW_US, cursors=[move])])

    def known_us(self, rule: str, *, embedded: bool = True) -> int | None:
        engine = reached(self.log) if embedded else None
        return known_us("p-1", rule, rules=self.rules, store=self.store, engine=engine, now_us=NOW_US)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        one = Desk(tmp_path, RuleBook(registry))
        yield one
        one.store.close()


def test_of_a_rule_about_glucose_the_newest_reading_is_known_once_the_engine_has_looked_at_it(desk: Desk) -> None:
    assert desk.known_us("urgent_low") is None
    desk.reads(5 * MINUTE_US)
    assert desk.known_us("urgent_low") is None
    desk.looks(READINGS)
    assert desk.known_us("urgent_low") == NOW_US - 5 * MINUTE_US
    desk.reads(0)
    assert desk.known_us("urgent_low") is None
    assert desk.known_us("urgent_low", embedded=False) == NOW_US, "how far an engine elsewhere is cannot be asked"


@pytest.mark.parametrize("rule", ["no_data", "no_data_followers"])
def test_that_it_is_silent_is_known_now_for_a_day(desk: Desk, rule: str) -> None:
    desk.reads(25 * HOUR_US)
    desk.looks(READINGS)
    assert desk.known_us(rule) is None, "an old file was imported, or somebody has stopped"
    desk.reads(23 * HOUR_US)
    assert desk.known_us(rule) is None, "the engine is about to say that the silence is over, perhaps"
    desk.looks(READINGS)
    assert desk.known_us(rule) == NOW_US


def test_of_a_rule_about_the_pulse_the_newest_pulse_is_known(desk: Desk) -> None:
    desk.beats(40 * MINUTE_US, Vital(time=from_us(NOW_US - 40 * MINUTE_US), pulse_bpm=140))
    desk.beats(9 * MINUTE_US, Vital(time=from_us(NOW_US - 9 * MINUTE_US), pulse_bpm=141))
    desk.beats(0, Vital(time=from_us(NOW_US), systolic_mm_hg=120, diastolic_mm_hg=80))
    desk.reads(0)
    assert desk.known_us("pulse_high") is None
    desk.looks(Topic.VITALS)
    assert desk.known_us("pulse_high") == NOW_US - 9 * MINUTE_US
    assert desk.known_us("systolic_high") == NOW_US
    assert desk.known_us("battery_low") is None


def test_of_rules_about_days_and_of_none_nothing_is_known(desk: Desk) -> None:
    desk.reads(0)
    desk.looks(READINGS)
    assert desk.known_us("cgm_use_low") is None
    assert desk.known_us("no such rule") is None
