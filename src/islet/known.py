"""Until when what a rule says of a patient is known to be so: by this, people are told as of now of what began long ago
and goes on."""

from collections.abc import Mapping, Sequence
from operator import lt
from typing import Final

from islet.engine.embedded import CONSUMER as ENGINE
from islet.engine.in_force import Rules
from islet.engine.quantities import GLUCOSE, QUANTITIES, values
from islet.engine.rules import StreamPlan
from islet.log.base import Log
from islet.model.batch import int64_column
from islet.model.time import DAY_US, HOUR_US
from islet.model.topics import Topic
from islet.store.base import Store, as_entries

_MOST_DOCUMENTS: Final = 200
_LOOK_BACK_US: Final = HOUR_US
_NEWS_US: Final = DAY_US
"""So long after the last reading that none comes is news; later somebody has stopped, or an old file was imported."""


Reached = Mapping[Topic, Sequence[int]]
"""Per topic and partition, what the engine has not looked at yet begins there."""


def reached(log: Log) -> Reached:
    """How far the embedded engine is. May take long: a log on other machines is asked."""
    return {topic: log.cursor(ENGINE, topic) for topic in set(QUANTITIES.values())}


def known_us(patient: str, rule: str, *, rules: Rules, store: Store, engine: Reached | None, now_us: int) -> int | None:
    """The newest value of the patient's that the rule was asked about; for a rule about silence `now_us`, while it is
    news. None where there is none, and where the `engine` had not looked yet at all that the store has; None in its place:
    it cannot be asked how far it is."""
    stream = next((one for one in rules.plan.streams.values() if any(rule == own.name for own in one.rules)), None)
    if stream is None:
        return None
    newest_us = _newest_us(store, patient, stream.quantity, now_us)
    topic = QUANTITIES[stream.quantity]
    if engine is not None:
        stored = store.applied(topic, len(engine[topic]))  # after it: that value is among them
        if any(map(lt, engine[topic], stored)):
            return None
    if _is_silence(stream, rule):
        return now_us if newest_us is not None and now_us - newest_us <= _NEWS_US else None
    return newest_us


def _newest_us(store: Store, patient: str, quantity: str, now_us: int) -> int | None:
    if quantity == GLUCOSE:
        newest = store.latest([patient])
        return newest[0].time_us if newest else None
    young = store.documents(QUANTITIES[quantity], patient, now_us - _LOOK_BACK_US, now_us + HOUR_US, _MOST_DOCUMENTS)
    found = values(as_entries(young)).get(quantity)
    return int(int64_column(found, "time_us").max()) if found is not None else None


def _is_silence(stream: StreamPlan, rule: str) -> bool:
    lengths = zip(stream.rules, stream.program.silence_us, strict=True)
    return any(length_us > 0 for own, length_us in lengths if own.name == rule)
