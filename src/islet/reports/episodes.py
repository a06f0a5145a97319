"""The episodes of a period as a list, each once, by the gravest level that it reached."""

from datetime import UTC, datetime
from typing import Final

from islet.metrics.episodes import ConsensusEpisodes, Episodes, consensus_episodes
from islet.metrics.grid import day_grid
from islet.metrics.people import DAY_US, HOUR_US, People
from islet.metrics.ranges import Goals
from islet.model.time import from_us
from islet.reports.document import Episode, EpisodeKind

NIGHT_ENDS_H: Final = 6
_EXTENDED_LOW_MIN: Final = 120


def episodes_of(people: People, goals: Goals) -> tuple[Episode, ...]:
    """All of them in order of time, below and above the range of `goals`. A low that reaches 54 is very low, else, of more than 120 min, extended; a high
    that reaches 250 is very high, and extended where that lasts 120 min (consensus, see `metrics/episodes.py`)."""
    grid = day_grid(people.judged)
    found = consensus_episodes(grid, low_mg_dl=goals.low_mg_dl, high_mg_dl=goals.high_mg_dl)
    every = [*_lows(found), *_highs(found)]
    return tuple(sorted(every, key=lambda one: (one.begin, one.kind)))


def _lows(found: ConsensusEpisodes) -> list[Episode]:
    low, deep = found.low, _begins(found.very_low)
    kinds: list[EpisodeKind] = []
    for row in range(len(low)):
        begin, end = int(low.begin_us[row]), int(low.end_us[row])
        if any(begin <= one < end for one in deep):
            kinds.append("very_low")
        else:
            kinds.append("extended_low" if low.minutes[row] > _EXTENDED_LOW_MIN else "low")
    return _listed(low, kinds)


def _highs(found: ConsensusEpisodes) -> list[Episode]:
    high, above, long = found.high, _begins(found.very_high), _begins(found.extended_high)
    kinds: list[EpisodeKind] = []
    for row in range(len(high)):
        begin, end = int(high.begin_us[row]), int(high.end_us[row])
        if any(begin <= one < end for one in long):
            kinds.append("extended_high")
        else:
            kinds.append("very_high" if any(begin <= one < end for one in above) else "high")
    return _listed(high, kinds)


def _begins(some: Episodes) -> list[int]:
    begins: list[int] = some.begin_us.tolist()
    return begins


def _listed(some: Episodes, kinds: list[EpisodeKind]) -> list[Episode]:
    return [
        Episode(
            kind=kind,
            begin=local(int(some.begin_us[row])),
            minutes=int(some.minutes[row]),
            extreme_mg_dl=float(some.extreme_mg_dl[row]),
            night=_at_night(kind, int(some.begin_us[row]), int(some.end_us[row])),
        )
        for row, kind in enumerate(kinds)
    ]


def _at_night(kind: EpisodeKind, begin_us: int, end_us: int) -> bool:
    """Whether it begins between midnight and six; a low also when it goes on into that, as the pattern of lows has it."""
    goes_on = kind.endswith("low") and begin_us // DAY_US < (end_us - 1) // DAY_US
    return begin_us // HOUR_US % 24 < NIGHT_ENDS_H or goes_on


def local(clock_us: int) -> datetime:
    """The wall clock as a time without a zone."""
    return from_us(clock_us).astimezone(UTC).replace(tzinfo=None)
