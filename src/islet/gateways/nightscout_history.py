"""What Nightscout's third API reads of the store: searches, single documents, and what changed since an instant."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from islet.decode.nightscout_answers import CHANGES, TOLD_KINDS, Treatment, entries_of, treatments_told
from islet.decode.nightscout_search import Document, Search
from islet.decode.nightscout_v3 import entry_told, reading_identifier, reading_time_us, treatment_told
from islet.model.care_events import MADE, care_event_id, rank
from islet.model.codec import events_in
from islet.model.events import AnyCareEvent, CareEvent, Method, Withdrawal
from islet.model.people import Device
from islet.model.time import DAY_US, MINUTE_US, SECOND_US, to_us
from islet.model.topics import Topic
from islet.store import base
from islet.store.base import Store

BACK_US: Final = 100 * DAY_US
"""How far back a reading is that is told as new, and a treatment that is looked for by what it is known by; AAPS takes none
that is older."""
_SETTLED_US: Final = 2 * SECOND_US
"""A client goes on behind the last millisecond that it was told of: it is told of none in which something may yet come."""
_STEP_US: Final = 2 * DAY_US
_LONGEST_STEP_US: Final = 64 * DAY_US
_BEFORE_US: Final = 15 * MINUTE_US
_MS_US: Final = 1_000
_ALL: Final = 1_000_000
_MOST_ORDERED: Final = 20_000
_METHODS: Final[dict[str, Method]] = {"sgv": "cgm", "mbg": "capillary"}
_KINDS: Final = {method: kind for kind, method in _METHODS.items()}


class Said(NamedTuple):
    """An entry as the store has it."""

    device: str
    entry: AnyCareEvent
    received_at_us: int


class NightscoutReader:
    """Its methods may be called from any thread. A device reads its own patient; whether it may is for the caller to ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def search(self, device: Device, collection: str, search: Search) -> list[Document]:
        """The documents that are asked for; in no order of time they are of the newest that there are."""
        if collection == "treatments" and not any(search.may_be("eventType", kind) for kind in TOLD_KINDS):
            return []
        found, skip = list[Document](), search.skip if search.is_by_time else 0
        for documents in self._windows(device, collection, search):
            chosen = [one for one in documents if search.takes(one)]
            found += chosen[skip:]
            skip = max(0, skip - len(chosen))
            if len(found) >= (search.limit if search.is_by_time else _MOST_ORDERED):
                break
        if not search.is_by_time:
            found = search.ordered(found)[search.skip :]
        return [search.shown(one) for one in found[: search.limit]]

    def _windows(self, device: Device, collection: str, search: Search) -> Iterator[list[Document]]:
        """The documents of the time of a search, of a few days at a time, in its order; where nothing is, of more."""
        from_us, to_us, step_us = search.from_us, search.to_us, _STEP_US
        while from_us < to_us:
            if search.ascending:
                there = self._documents(device, collection, from_us, min(from_us + step_us, to_us), search)[::-1]
                from_us += step_us
            else:
                there = self._documents(device, collection, max(to_us - step_us, from_us), to_us, search)
                to_us -= step_us
            yield there
            step_us = _STEP_US if there else min(2 * step_us, _LONGEST_STEP_US)

    def _documents(self, device: Device, collection: str, from_us: int, to_us: int, search: Search) -> list[Document]:
        """Those that a search may take, the newest first."""
        if collection == "entries":
            return self._entries(device, from_us, to_us, [kind for kind in _METHODS if search.may_be("type", kind)])
        stored = self._store.documents(Topic.CARE_EVENTS, device.patient, from_us, to_us, limit=_ALL)
        if search.is_only_of("eventType", CHANGES):
            stored = [one for one in stored if one.type == "note"]
        return documents_told(device, _said(stored), holds=True)

    def _entries(self, device: Device, from_us: int, to_us: int, kinds: Iterable[str] = _METHODS) -> list[Document]:
        received = {one[:2]: one.received_at_us for one in self._store.receipts(device.patient, from_us, to_us)}
        found = list[tuple[int, Document]]()
        for kind in kinds:
            method = _METHODS[kind]
            if not any(key[1] == method for key in received):
                continue
            series = self._store.series(device.patient, from_us - _BEFORE_US, to_us, method=method)
            documents = entries_of(series, device.id, kind, len(series))
            for time_us, one in zip(series.time_us[::-1].tolist(), documents, strict=True):
                if (at := received.get((time_us, method))) is not None:
                    found.append((time_us, entry_told(one, device.patient, time_us, at)))
        return [one for _, one in sorted(found, key=lambda one: -one[0])]

    def found(self, device: Device, collection: str, identifier: str, now_us: int) -> Document | None:
        """The document that is known by that."""
        from_us, to_us = now_us - BACK_US, now_us + DAY_US
        if collection == "entries":
            time_us = reading_time_us(identifier)
            if time_us is None:
                return None
            from_us, to_us = time_us, time_us + 1
        windows = self._windows(device, collection, Search(from_us=from_us, to_us=to_us))
        return next((one for documents in windows for one in documents if one["identifier"] == identifier), None)

    def named(self, device: Device, identifier: str, now_us: int) -> Treatment | None:
        """The treatment that is known by that, with its device and entries."""
        from_us, to_us = now_us - BACK_US, now_us + DAY_US
        stored = self._store.documents(Topic.CARE_EVENTS, device.patient, from_us, to_us, limit=_ALL)
        treatments = treatments_told([(one.device, one.entry) for one in _said(stored)])
        return next((one for one in treatments if one.document["_id"] == identifier), None)

    def last_modified(self, device: Device, now_us: int) -> dict[str, int]:
        """When something was changed last, in milliseconds since 1970, of each collection in which something was."""
        entries_us, treatments_us = self._store.last_received(device.patient, now_us - BACK_US)
        changed = {"entries": entries_us // _MS_US, "treatments": treatments_us // _MS_US}
        return {collection: ms for collection, ms in changed.items() if ms}

    def history(self, device: Device, collection: str, from_ms: int, limit: int, now_us: int) -> list[Document]:
        """What was changed at that instant or later, in the order in which it was: `limit` documents, or as many more as
        were changed in the last one's millisecond (a client goes on behind that)."""
        if collection == "entries":
            return self._new_entries(device, from_ms * _MS_US, limit, now_us)
        while stored := self._store.care_events_since(device.patient, from_ms * _MS_US, limit):
            settled = [one for one in stored if one.received_at_us < now_us - _SETTLED_US]
            found = self._changed(device, _said(settled))
            if found or len(settled) < len(stored):
                return found
            from_ms = stored[-1].received_at_us // _MS_US + 1
        return []

    def _new_entries(self, device: Device, received_us: int, limit: int, now_us: int) -> list[Document]:
        rows = self._store.receipts(device.patient, now_us - BACK_US, now_us + DAY_US, received_us)
        rows = [one for one in rows if one.received_at_us < now_us - _SETTLED_US]
        if len(rows) > limit:
            last_ms = rows[limit - 1].received_at_us // _MS_US
            rows = [one for one in rows if one.received_at_us // _MS_US <= last_ms]
        if not rows:
            return []
        times = [one.time_us for one in rows]
        there = {str(one["identifier"]): one for one in self._entries(device, min(times), max(times) + 1)}
        keys = [reading_identifier(device.patient, _KINDS[one.method], one.time_us) for one in rows]
        return [there[key] for key in keys if key in there]

    def _changed(self, device: Device, rows: Sequence[Said]) -> list[Document]:
        """The treatments of which one of these is the last that was said."""
        found, seen = list[Document](), set[str]()
        for row in rows:
            versions = _said(self._store.versions(device.patient, [(row.device, care_event_id(row.entry))]))
            is_made = row.entry.id is UNSET or row.entry.id.startswith(MADE)
            documents = self._unnamed(device, row, versions) if is_made else []
            if row.entry.id is not UNSET and not (is_made and isinstance(row.entry, Withdrawal)):
                documents += _latest(device, versions)
            for one in documents:
                if one["srvModified"] == row.received_at_us // _MS_US and one["identifier"] not in seen:
                    seen.add(str(one["identifier"]))
                    found.append(one)
        return found

    def _unnamed(self, device: Device, row: Said, versions: Sequence[Said]) -> list[Document]:
        """The treatments of an instant to which the sender gave no id, as one of them; or what of them was withdrawn."""
        first = next((one for one in versions if not isinstance(one.entry, Withdrawal)), None)
        if first is None:
            return []
        time_us = to_us(first.entry.time)
        stored = self._store.documents(Topic.CARE_EVENTS, device.patient, time_us, time_us + 1, limit=_ALL)
        there = [one for one in _said(stored) if one.device == row.device and one.entry.id is UNSET]
        return documents_told(device, there or [first], holds=bool(there), changed_us=row.received_at_us)


def documents_told(device: Device, said: Sequence[Said], *, holds: bool, changed_us: int = 0) -> list[Document]:
    """Entries as the treatments that an app is told, the newest first; `changed_us` 0: when each was received."""
    received = dict[tuple[str, str], int]()
    for one in said:
        key = one.device, care_event_id(one.entry)
        received[key] = max(received.get(key, 0), one.received_at_us)
    found = list[Document]()
    for told in treatments_told([(one.device, one.entry) for one in said]):
        at_us = changed_us or max(received[told.device, id] for id in told.entries)
        found.append(treatment_told(told.document, told.device, at_us, own=told.device == device.id, holds=holds))
    return found


def _latest(device: Device, versions: Sequence[Said]) -> list[Document]:
    """The treatment of which these are all versions, as it holds, or as it was before it was withdrawn."""
    ranked = sorted(versions, key=lambda one: rank(one.entry))
    highest = [one for one in ranked if rank(one.entry) == rank(ranked[-1].entry)]
    changed_us = max(one.received_at_us for one in highest)
    if not isinstance(highest[0].entry, Withdrawal):
        return documents_told(device, highest, holds=True, changed_us=changed_us)
    before = [one for one in ranked if not isinstance(one.entry, Withdrawal)]
    last = [one for one in before if one.entry.revision == before[-1].entry.revision]
    return documents_told(device, last, holds=False, changed_us=changed_us)


def _said(documents: Iterable[base.Document]) -> list[Said]:
    """The entries in documents, without what a later version of Islet wrote."""
    found = list[Said]()
    for one in documents:
        found += [
            Said(one.device, event, one.received_at_us)
            for event in events_in([one.body])
            if isinstance(event, CareEvent)
        ]
    return found
