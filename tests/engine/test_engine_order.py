"""The table of alerts is a function of the set of readings and the time: not of order, batches, doubles or restarts."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from islet.engine.snapshot import dump
from islet.model.time import DAY_US, MINUTE_US, RECORDS_SINCE_US, to_us
from tests.conftest import examples
from tests.engine.platforms import platform
from tests.engine.slow import expected_episodes
from tests.engine.streams import EVERYTHING, LATENESS_MIN, Engine, Point

# Values on both sides of every threshold, and minutes on both sides of window, lateness and silence.
_GLUCOSE = st.sampled_from(
    [50.0, 55.0, 55.1, 60.0, 69.9, 70.0, 71.0, 75.0, 104.9, 105.0, 105.1, 115.1, 140.0, 240.0, 250.1]
)
_STEP = st.sampled_from([0.0, 1.0, 3.0, 5.0, 5.0, 5.0, 10.0, 14.0, 20.0, 20.5, 31.0])
_DELAY = st.sampled_from([0.0, 0.0, 0.0, 0.0, 4.0, 9.0, float(LATENESS_MIN)])


@dataclass(frozen=True)
class Arrivals:
    """Batches as they arrive, some with doubles; `restart[i]`: the engine is saved and loaded after batch i;
    `ticks[i]`: the time is looked at after batch i (None: not)."""

    batches: list[list[Point]]
    restart: list[bool]
    ticks: list[float | None]


@st.composite
def arrivals(draw: st.DrawFn) -> Arrivals:
    points: dict[tuple[str, str, float], Point] = {}
    for patient in ("p1", "p2"):
        minute = 0.0
        for _ in range(draw(st.integers(0, 14))):
            minute += draw(_STEP)
            device = draw(st.sampled_from(["cgm", "cgm", "cgm", "meter"]))
            points.setdefault((patient, device, minute), Point(minute, draw(_GLUCOSE), device, patient))
    # Delayed by no more than the bound, a reading is never more than the bound behind the newest that came before it.
    stream = sorted(points.values(), key=lambda p: (p.minute + draw(_DELAY), draw(st.integers(0, 3))))
    for point in draw(st.lists(st.sampled_from(stream), max_size=4)) if stream else []:
        stream.insert(draw(st.integers(stream.index(point) + 1, len(stream))), point)
    batches = []
    while stream:
        size = draw(st.integers(1, len(stream)))
        batches.append(stream[:size])
        stream = stream[size:]
    count = len(batches)
    return Arrivals(
        batches,
        draw(st.lists(st.booleans(), min_size=count, max_size=count)),
        draw(st.lists(st.none() | st.floats(0, 200).map(round), min_size=count, max_size=count)),
    )


@given(arrivals())
@settings(deadline=None, max_examples=examples(120))
def test_the_alerts_are_those_of_the_slow_reference_whatever_the_order_batches_doubles_and_restarts(
    a: Arrivals,
) -> None:
    engine = Engine(reference=EVERYTHING)
    overflows = 0
    for points, restart, now in zip(a.batches, a.restart, a.ticks, strict=True):
        overflows += engine.read(*points).overflows
        if now is not None:
            engine.tick(now)
        if restart:
            engine.restart()
    assert overflows == 0
    now = max((tick for tick in a.ticks if tick is not None), default=None)
    if now is not None:
        engine.tick(now)  # what came in after the last tick is silent only when the time is looked at again
    assert engine.episodes() == expected_episodes({p for points in a.batches for p in points}, now)


_END = to_us(datetime(2100, 12, 31, tzinfo=UTC)) // MINUTE_US
_YEAR = 366 * DAY_US // MINUTE_US
_BEGIN = st.integers(_END - 2 * _YEAR, _END) | st.integers(RECORDS_SINCE_US // MINUTE_US, _END)


def at(begin: int, points: list[Point]) -> list[Point]:
    """The same, that many minutes after 1970, or before it."""
    return [point._replace(minute=begin + point.minute) for point in points]


@given(arrivals(), _BEGIN)
@settings(deadline=None, max_examples=examples(120))
def test_what_comes_within_a_year_is_as_in_the_slow_reference_and_from_1900_on_what_is_older_is_history(
    a: Arrivals, begin: int
) -> None:
    """On the engine as the platform runs it, in the year 2100."""
    recent = [point for points in a.batches for point in points if begin + point.minute >= _END - _YEAR]
    with platform(1) as p:
        p.clock[0] = _END * MINUTE_US
        for batch in a.batches:
            p.send(*at(begin, batch))
            p.run(_END)
        assert p.engine.counters.readings == len(recent)
        p.run(_END + 1)
        assert p.table(begin * MINUTE_US) == expected_episodes(recent, _END + 1 - begin)
        said = p.said()
        p.send(*at(RECORDS_SINCE_US // MINUTE_US, recent))
        p.run(_END + 2)
        assert p.said() == said


@given(arrivals())
@settings(deadline=None, max_examples=examples(60))
def test_one_batch_and_single_readings_say_the_same(a: Arrivals) -> None:
    whole, single = Engine(reference=EVERYTHING), Engine(reference=EVERYTHING)
    stream = [point for points in a.batches for point in points]
    together = whole.read(*stream)
    counts = [single.read(), *(single.read(point) for point in stream)]
    assert whole.episodes() == single.episodes()
    assert dump(whole.state) == dump(single.state)
    for name in ("duplicates", "conflicts", "history", "overflows"):
        assert getattr(together, name) == sum(getattr(one, name) for one in counts)


@given(arrivals())
@settings(deadline=None, max_examples=examples(60))
def test_a_replay_on_top_of_what_is_known_says_nothing_new(a: Arrivals) -> None:
    engine = Engine(reference=EVERYTHING)
    for points in a.batches:
        engine.read(*points)
    said = len(engine.said)
    for points in a.batches:
        engine.read(*points)
    assert engine.said[said:] == []


def backlog(rng: Random, count: int) -> list[Point]:
    """Many more readings of one patient than are kept, every three minutes with gaps, some late within the bound."""
    minute, value, points = 0.0, 110.0, list[Point]()
    for _ in range(count):
        minute += 3.0 * (1 if rng.random() < 0.95 else rng.randint(2, 12))
        value = min(390.0, max(42.0, value + rng.randint(-25, 25)))
        points.append(Point(minute, value))
    return sorted(points, key=lambda point: point.minute + rng.choice((0.0, 0.0, 0.0, 4.0, 9.0, 15.0)))


@given(st.integers(0, 2**32), st.sampled_from([1, 7, 31, 32, 33, 150]))
@settings(deadline=None, max_examples=40)
def test_a_backlog_longer_than_what_is_kept_says_the_same_in_any_batches(seed: int, size: int) -> None:
    points = backlog(Random(seed), 150)
    engine = Engine(reference=EVERYTHING)
    for start in range(0, len(points), size):
        output = engine.read(*points[start : start + size])
        assert (output.overflows, output.history) == (0, 0)
    assert engine.episodes() == expected_episodes(set(points), None)
