"""The meaning of the five shipped rules in plain Python: slow, and right at a glance. It knows nothing of the engine."""

from collections.abc import Callable, Iterable, Sequence

from tests.engine.streams import Point

Episodes = dict[str, tuple[float, float | None]]
Condition = Callable[[Sequence[Point], Point], bool]


def _average_10(readings: Sequence[Point], now: Point) -> float:
    window = [round(r.mg_dl * 10) for r in readings if now.minute - 10 <= r.minute <= now.minute]
    return sum(window) / len(window) / 10


BREACH: dict[str, Condition] = {
    "low": lambda _, r: r.mg_dl < 70,
    "high": lambda _, r: r.mg_dl > 250,
    "urgent_low": lambda _, r: r.mg_dl <= 55,
    "seed_demonstration": lambda readings, r: r.mg_dl > 115 or _average_10(readings, r) > 105,
}
CLEAR: dict[str, Condition] = {
    "low": lambda _, r: r.mg_dl >= 75,
    "high": lambda _, r: r.mg_dl <= 240,
    "urgent_low": lambda _, r: r.mg_dl >= 60,
    "seed_demonstration": lambda readings, r: not (r.mg_dl > 115 or _average_10(readings, r) > 105),
}


def expected_episodes(points: Iterable[Point], now: float | None = None) -> Episodes:
    """All episodes of all patients, for a set of readings and an instant; in minutes."""
    found: Episodes = {}
    points = set(points)
    for patient in {p.patient for p in points}:
        mine = sorted(p for p in points if p.patient == patient)
        for rule in BREACH:
            found |= _reading_episodes(rule, patient, mine)
        found |= _silences(patient, sorted({p.minute for p in mine}), now)
    return found


def _reading_episodes(rule: str, patient: str, mine: Sequence[Point]) -> Episodes:
    found: Episodes = {}
    onset: float | None = None
    for minute in sorted({p.minute for p in mine}):
        instant = [p for p in mine if p.minute == minute]
        breach = any(BREACH[rule](mine, p) for p in instant)
        clear = all(CLEAR[rule](mine, p) for p in instant)
        if onset is None and breach:
            onset = minute
            found[f"{rule}~{patient}@{onset:g}"] = (onset, None)
        elif onset is not None and clear and not breach:
            found[f"{rule}~{patient}@{onset:g}"] = (onset, minute)
            onset = None
    return found


def _silences(patient: str, minutes: Sequence[float], now: float | None) -> Episodes:
    found: Episodes = {}
    for minute, following in zip(minutes, [*minutes[1:], None], strict=True):
        onset = minute + 20
        if following is not None and following > onset:
            found[f"no_data~{patient}@{onset:g}"] = (onset, following)
        if following is None and now is not None and now >= onset:
            found[f"no_data~{patient}@{onset:g}"] = (onset, None)
    return found
