"""Documents as Nightscout's third API knows them: by an identifier, and with when they were changed last.

Sources: cgm-remote-monitor (lib/api3), AndroidAPS (core/nssdk). What is in a document is as in the first API
(`islet.decode.nightscout`, `islet.decode.nightscout_answers`).
"""

import hashlib
import math
import re
import uuid
from collections.abc import Mapping
from typing import Final

from islet.decode.imports.records import Record, word
from islet.decode.nightscout_search import Document, instant_ms
from islet.errors import BadInput
from islet.model.time import DAY_US, from_us, iso

COLLECTIONS: Final = ("devicestatus", "entries", "food", "profile", "settings", "treatments")
KEPT: Final = ("entries", "treatments", "devicestatus")
"""Collections of which something is kept of what is sent."""
READ: Final = ("entries", "treatments")
"""Collections in which something is found."""
VERSIONS: Final[Document] = {"version": "15.0.3", "apiVersion": "3.0.5"}
"""Whose API this is; apps ask."""
STORAGE: Final[Document] = {"storage": "islet", "version": "1"}
_NAMESPACE: Final = uuid.UUID(bytes=b"NightscoutRocks!")
_LONGEST_ID: Final = 200
_READING: Final = re.compile(r"[0-9a-f]{24}")
_TIME_DIGITS: Final = 16
_MS_US: Final = 1_000
_SERVERS: Final = ("_id", "identifier", "srvModified", "srvCreated", "subject", "modifiedBy")
"""Fields that are the server's to set."""
_BY_TIME: Final = ("eventTime", "timestamp", "mills", "created_at", "dateString")


def identifier_of(document: Record) -> str:
    """What a document is known by: the name that it brings, or the one that Nightscout makes of its device, time and kind.

    >>> identifier_of({"device": "Samsung XCover 4-861536030196001", "date": 1564591511232, "eventType": "Correction Bolus"})
    '95e1a6e3-1146-5d6a-a3f1-41567cae0895'
    """
    named = word(document, "identifier")
    if named:
        return named[:_LONGEST_ID]
    key = f"{_in_javascript(document, 'device')}_{_in_javascript(document, 'date')}"
    kind = word(document, "eventType")
    return str(uuid.uuid5(_NAMESPACE, f"{key}_{kind}" if kind else key))


def reading_identifier(patient: str, kind: str, time_us: int) -> str:
    """What a reading is known by; as long as the ids of Nightscout's database, and it says when the reading was."""
    return f"{time_us & 0xFFFFFFFFFFFFFFFF:016x}{hashlib.sha256(f'{patient} {kind}'.encode()).hexdigest()[:8]}"


def reading_time_us(identifier: str) -> int | None:
    """When the reading was that is known by that; None where no reading is."""
    if not _READING.fullmatch(identifier):
        return None
    time_us = int(identifier[:_TIME_DIGITS], 16)
    return time_us if 0 <= time_us < 200 * 366 * DAY_US else None


def taken(document: Record) -> Document:
    """A document as the first API's is understood: its `date` in milliseconds, and as `created_at`, and as its one time.
    Raises BadInput."""
    said = next((document[name] for name in ("date", *_BY_TIME) if document.get(name)), None)
    ms = instant_ms(said)
    if ms is None:
        raise BadInput("Bad or missing date field", reason="schema")
    rest = {name: value for name, value in document.items() if name not in _BY_TIME}
    return {**rest, "date": ms, "created_at": iso(ms * _MS_US)}


def at_time(document: Record, time_us: int) -> Document:
    """The document with exactly that time."""
    rest = {name: value for name, value in document.items() if name not in (*_BY_TIME, "date")}
    return {**rest, "date": time_us // _MS_US, "created_at": iso(time_us)}


def patched(stored: Mapping[str, object], patch: Record) -> Document:
    """A document with what a patch says in the place of what it said; a patch that has a kind of its own is all of it."""
    news = {name: value for name, value in patch.items() if name not in _SERVERS}
    return news if word(patch, "eventType") else {**stored, **news}


def entry_told(document: Mapping[str, object], patient: str, time_us: int, received_us: int) -> Document:
    """A reading as the third API tells it, of one as the first does (`entries_of`). Nothing changes it here."""
    return {
        "identifier": reading_identifier(patient, str(document["type"]), time_us),
        **{name: value for name, value in document.items() if name != "_id"},
        "units": "mg/dl",
        **_kept(str(document["device"]), received_us),
        "isReadOnly": True,
    }


def treatment_told(document: Mapping[str, object], device: str, changed_us: int, *, own: bool, holds: bool) -> Document:
    """A treatment as the third API tells it, of one as the first does. `own`: of the app that asks; it may change that."""
    told = {name: value for name, value in document.items() if name != "_id"}
    if isinstance(lasts_min := told.get("duration"), float):
        told["duration"] = max(1, math.floor(lasts_min))  # AAPS takes no fraction, and nothing behind one
    read_only = {} if own else {"isReadOnly": True}
    kept = {**_kept(device, changed_us), "isValid": holds}
    return {"identifier": document["_id"], **told, **kept, **read_only}


def _kept(device: str, changed_us: int) -> Document:
    changed = {"srvModified": changed_us // _MS_US, "srvCreated": changed_us // _MS_US}
    return {"app": "Islet", "subject": device, **changed, "isValid": True}


def _in_javascript(document: Record, name: str) -> str:
    """A field as JavaScript puts it into a text."""
    if name not in document:
        return "undefined"
    value = document[name]
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def http_date(time_us: int) -> str:
    """An instant as HTTP's headers have it."""
    return from_us(time_us).strftime("%a, %d %b %Y %H:%M:%S GMT")
