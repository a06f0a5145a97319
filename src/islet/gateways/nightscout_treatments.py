"""Treatments as apps tell them to Nightscout: the same once more is nothing new, and under a known id something else
replaces what it was.

Each becomes entries with its id, and with the instant at which it was told as their revision. What was told lately is
remembered, so that an app that sends its day every few minutes writes nothing; of the rest the store knows. There people
may have corrected it since (the diary): what an app has told before is nothing new either, so that it undoes no correction.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Lock
from typing import Final, NamedTuple

from msgspec import UNSET, structs

from islet.model.care_events import rank
from islet.model.codec import encode_event, events_in
from islet.model.events import AnyCareEvent, CareEvent, Withdrawal
from islet.model.people import Device
from islet.model.time import from_us, to_us
from islet.model.topics import Topic
from islet.store.base import Document, Store

_MOST_REMEMBERED: Final = 50_000
_MOST_DOCUMENTS: Final = 10_000
_NOTHING: Final = frozenset[bytes]()


class Told(NamedTuple):
    """What one id stands for: its entries without id and revision, encoded; the revision; what else it has stood for."""

    said: frozenset[bytes]
    revision: int
    before: Collection[frozenset[bytes]] = ()


News = Mapping[str, Told]
"""By id; nothing said is a withdrawal."""


class Treatments:
    """Of all apps. Its methods may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lately: OrderedDict[tuple[str, str, str], Told] = OrderedDict()
        self._turn, self._given = Lock(), 0

    def news(
        self, device: Device, entries: Mapping[str, Sequence[AnyCareEvent]], now_us: int, *, edited: bool = False
    ) -> News:
        """Of what an app tells (by id; no entries: nothing that is kept of it), what is not known as it is. `edited`: the app
        says that it changes it, also to what it was before."""
        said = {id: frozenset(map(bare, mine)) for id, mine in entries.items()}
        known, revision = self._known(device, said, entries), self._revision(now_us)
        return {
            id: Told(mine, max(revision, known[id].revision + 1))
            for id, mine in said.items()
            if mine != known[id].said and (edited or mine not in known[id].before)
        }

    def known(self, device: Device, id: str) -> Told | None:
        """What an app has told last under an id; nothing said: it was withdrawn. None where it has told nothing."""
        with self._turn:
            lately = self._lately.get(_of(device, id))
        there = stored(self._store.versions(device.patient, [(device.id, id)])).get(id)
        if lately is None or (there is not None and there.revision >= lately.revision):
            return there
        return lately  # of which the store may know nothing yet

    def withdrawn(self, device: Device, ids: Iterable[str], now_us: int) -> News:
        """What is to be told so that nothing holds any more that these ids stand for."""
        known, revision = self._known(device, dict.fromkeys(ids, _NOTHING), {}), self._revision(now_us)
        return {id: Told(_NOTHING, max(revision, one.revision + 1)) for id, one in known.items()}

    def keep(self, device: Device, news: News) -> None:
        """Remember what is durable now."""
        with self._turn:
            for id, told in news.items():
                of = _of(device, id)
                self._lately[of] = max(told, self._lately.get(of, told), key=lambda one: one.revision)
                self._lately.move_to_end(of)
            while len(self._lately) > _MOST_REMEMBERED:
                self._lately.popitem(last=False)

    def _revision(self, now_us: int) -> int:
        """The present in milliseconds, or above the last: each request has one of its own, also of two at once."""
        with self._turn:
            self._given = max(now_us // 1000, self._given + 1)
            return self._given

    def _known(
        self, device: Device, said: Mapping[str, frozenset[bytes]], entries: Mapping[str, Sequence[AnyCareEvent]]
    ) -> dict[str, Told]:
        """What each of the ids stands for."""
        with self._turn:
            known = {id: told for id in said if (told := self._lately.get(_of(device, id))) is not None}
        known |= stored(self._store.versions(device.patient, [(device.id, id) for id in said if id not in known]))
        new = [id for id in said if id not in known]
        nameless = self._nameless(device, [one for id in new for one in entries.get(id, ())])
        return known | {id: Told(said[id] if said[id] <= nameless else _NOTHING, 0) for id in new}

    def _nameless(self, device: Device, entries: Sequence[AnyCareEvent]) -> set[bytes]:
        """What the device told at those times before treatments were kept with their ids."""
        times_us = [to_us(one.time) for one in entries]
        if not times_us:
            return set()
        first_us, end_us = min(times_us), max(times_us) + 1
        found = self._store.documents(Topic.CARE_EVENTS, device.patient, first_us, end_us, limit=_MOST_DOCUMENTS)
        events = events_in(one.body for one in found if one.device == device.id)
        return {bare(one) for one in events if isinstance(one, CareEvent) and one.id is UNSET}


def _of(device: Device, id: str) -> tuple[str, str, str]:
    """A device that is given to somebody else has told nothing of them."""
    return device.patient, device.id, id


def stored(documents: Iterable[Document]) -> dict[str, Told]:
    """What stands by id in all the documents of one device and these ids."""
    found = defaultdict[str, defaultdict[int, set[bytes]]](lambda: defaultdict(set))
    for entry in events_in(one.body for one in documents):
        if isinstance(entry, CareEvent) and entry.id is not UNSET:
            found[entry.id][rank(entry)] |= set() if isinstance(entry, Withdrawal) else {bare(entry)}
    return {
        id: Told(frozenset(by_rank[max(by_rank)]), max(by_rank) // 2, {frozenset(one) for one in by_rank.values()})
        for id, by_rank in found.items()
    }


def payloads(news: News, entries: Mapping[str, Sequence[AnyCareEvent]], now_us: int) -> list[bytes]:
    """The events to be sent: the entries, or a withdrawal where there are none."""
    made = list[bytes]()
    for id, told in news.items():
        some: Sequence[AnyCareEvent] = entries.get(id, ()) or (Withdrawal(time=from_us(now_us), id=id),)
        made += [encode_event(structs.replace(one, id=id, revision=told.revision)) for one in some]
    return made


def bare(entry: AnyCareEvent) -> bytes:
    """What an entry says, without id and revision, encoded."""
    return encode_event(structs.replace(entry, id="-", revision=0))
