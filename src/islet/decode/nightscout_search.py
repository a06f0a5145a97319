"""What a request to Nightscout's third API asks for: a search with conditions, an order, a part of it.

Sources: cgm-remote-monitor (lib/api3). Conditions of time are of whole milliseconds, as everything in that API is: a client
that goes on behind the last one it was told must not be told it again for a fraction of one.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from islet.errors import BadInput
from islet.model.time import DAY_US, to_us

Document = dict[str, object]

MOST: Final = 1_000
"""Documents in an answer, as Nightscout has it."""
EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01; a lesser number is of seconds."""
_USUAL_SPAN_US: Final = 100 * DAY_US
"""How far back is looked where no time is asked for."""
_MS_US: Final = 1_000
_TIMES: Final = ("date", "mills", "created_at", "dateString")
_INSTANTS: Final = (*_TIMES, "srvModified", "srvCreated")
_RESERVED: Final = frozenset({"token", "secret", "sort", "sort$desc", "limit", "skip", "fields", "now"})
_HOWS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_CONDITION: Final = re.compile(r"([\w.]{1,40})(?:\$([a-zA-Z]{1,10}))?")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
Value = float | str


class Condition(Struct, frozen=True, kw_only=True):
    """What a field has to be; of `in` and `nin` one of several. `has`: what stands in it (the first API's plain patterns);
    `exists`: whether there is one, "false": whether there is none."""

    field: str
    how: str
    values: tuple[Value, ...]

    def holds(self, document: Mapping[str, object]) -> bool:
        """Whether it does in the document; a field that is not there is like nothing."""
        there = None if (value := document.get(self.field)) is None else _comparable(self.field, value)
        if self.how in ("ne", "nin"):
            return there not in self.values
        if self.how in ("eq", "in"):
            return there in self.values
        wanted = self.values[0]
        if self.how == "exists":
            return (there is None) is (wanted in ("false", 0.0))
        if self.how == "has":
            return str(wanted) in str(document.get(self.field, ""))
        if isinstance(there, float) and isinstance(wanted, float):
            return _is_so(self.how, (there > wanted) - (there < wanted))
        if isinstance(there, str) and isinstance(wanted, str):
            return _is_so(self.how, (there > wanted) - (there < wanted))
        return False


class Search(Struct, frozen=True, kw_only=True):
    """Documents with from_us <= time < to_us that fulfil all conditions, in the order of a field, `limit` of them behind the
    first `skip`, with these fields (none: with all)."""

    from_us: int
    to_us: int
    conditions: tuple[Condition, ...] = ()
    sort: str = "date"
    ascending: bool = False
    limit: int = MOST
    skip: int = 0
    fields: frozenset[str] = frozenset()

    @property
    def is_by_time(self) -> bool:
        """Whether they are in the order in which the store has them."""
        return self.sort in _TIMES

    def may_be(self, field: str, value: str) -> bool:
        """Whether a document with that in a field may be among them."""
        return all(one.holds({field: value}) for one in self.conditions if one.field == field)

    def is_only_of(self, field: str, values: Collection[Value]) -> bool:
        """Whether only documents in which a field is one of these may be among them."""
        named = [one for one in self.conditions if one.field == field and one.how in ("eq", "in")]
        return any(all(value in values for value in one.values) for one in named)

    def takes(self, document: Mapping[str, object]) -> bool:
        return all(one.holds(document) for one in self.conditions)

    def ordered(self, documents: Iterable[Document]) -> list[Document]:
        """By the field that was asked for; what lacks it comes first, as from Nightscout's database."""

        def place(document: Document) -> tuple[int, float, str]:
            value = None if (said := document.get(self.sort)) is None else _comparable(self.sort, said)
            if value is None:
                return 0, 0.0, ""
            return (1, value, "") if isinstance(value, float) else (2, 0.0, value)

        return sorted(documents, key=place, reverse=not self.ascending)

    def shown(self, document: Document) -> Document:
        """The document with the fields that were asked for."""
        return {name: document[name] for name in document if not self.fields or name in self.fields}


def search_of(parameters: Iterable[tuple[str, str]], now_us: int) -> Search:
    """What the query of an address asks for. Raises BadInput."""
    given = list(parameters)
    said = dict(given)
    if "sort" in said and "sort$desc" in said:
        raise BadInput("Parameters sort and sort_desc cannot be combined", reason="query")
    from_us, to_us, conditions = None, now_us + DAY_US, list[Condition]()
    for name, text in given:
        if name in _RESERVED:
            continue
        one = _condition(name, text)
        if one.field not in _TIMES or one.how in ("ne", "in", "nin"):
            conditions.append(one)
            continue
        least, most = _span_us(one)
        from_us, to_us = max(from_us or EARLIEST_MS * _MS_US, least), min(to_us, most)
    return Search(
        from_us=to_us - _USUAL_SPAN_US if from_us is None else from_us,
        to_us=to_us,
        conditions=tuple(conditions),
        sort=said.get("sort") or said.get("sort$desc") or "date",
        ascending="sort" in said,
        limit=limit_of(said),
        skip=_whole(said.get("skip", ""), 0, "Parameter skip out of tolerance"),
        fields=_fields(said.get("fields", "")),
    )


def limit_of(said: Mapping[str, str]) -> int:
    """How many documents are asked for at most. Raises BadInput."""
    limit = _whole(said.get("limit", ""), MOST, refused := "Parameter limit out of tolerance")
    if not 0 < limit <= MOST:
        raise BadInput(refused, reason="query")
    return limit


def shown_fields(said: Mapping[str, str]) -> Search:
    """A search of everything with the fields that are asked for, to show documents by."""
    return Search(from_us=0, to_us=0, fields=_fields(said.get("fields", "")))


def instant_ms(said: object) -> int | None:
    """Milliseconds since 1970 of a number of them, or of seconds, or of a time as ISO 8601 or HTTP write it; None where it is
    none, or before 2000."""
    if isinstance(said, str) and not _NUMBER.fullmatch(said):
        return _text_ms(said)
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    number = float(said)
    ms = number if number >= EARLIEST_MS else number * 1000
    return int(ms) if EARLIEST_MS <= ms < 1e14 else None


def _text_ms(text: str) -> int | None:
    for read in (datetime.fromisoformat, _http_time):
        try:
            told = read(text.strip().replace(" ", "+") if read is datetime.fromisoformat else text)
            ms = to_us(told if told.tzinfo else told.replace(tzinfo=UTC)) // _MS_US
        except (ValueError, OverflowError):
            continue
        return ms if ms >= EARLIEST_MS else None
    return None


def _http_time(text: str) -> datetime:
    return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)


def _condition(name: str, text: str) -> Condition:
    found = _CONDITION.fullmatch(name)
    how = "eq" if found is None else found[2] or "eq"
    if found is None or how not in _HOWS:
        raise BadInput(f"Unsupported filter operator; expected one of {', '.join(_HOWS)}", reason="query")
    texts = text.split("|") if how in ("in", "nin") else [text]
    return condition(found[1], how, [one.strip("'") for one in texts])


def condition(field: str, how: str, texts: Iterable[str]) -> Condition:
    """What an address says of a field, with the values as they are compared."""
    return Condition(field=field, how=how, values=tuple(_comparable(field, one) for one in texts))


def _comparable(field: str, value: object) -> Value:
    """A number, a time or a text as it is compared: as a client writes it in an address, or as it stands in a document."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if field in _INSTANTS and (ms := instant_ms(value)) is not None:
        return float(ms)
    if isinstance(value, int | float):
        return float(value)
    text = str(value)
    return float(text) if _NUMBER.fullmatch(text) else text


def _span_us(one: Condition) -> tuple[int, int]:
    """From when to before when a condition of time lets documents be."""
    at = one.values[0]
    if isinstance(at, str):
        raise BadInput(f"{one.field}: expected milliseconds since 1970 or an ISO 8601 time", reason="query")
    start_us = int(at) * _MS_US
    end_us = start_us + _MS_US
    least = {"gt": end_us, "gte": start_us, "eq": start_us}.get(one.how, 0)
    most = {"lt": start_us, "lte": end_us, "eq": end_us}.get(one.how, 1 << 62)
    return least, most


def _is_so(how: str, order: int) -> bool:
    return order > 0 if how == "gt" else order >= 0 if how == "gte" else order < 0 if how == "lt" else order <= 0


def _whole(text: str, usual: int, refused: str) -> int:
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInput(refused, reason="query")
    return int(text)


def _fields(text: str) -> frozenset[str]:
    return frozenset() if text in ("", "_all") else frozenset(one.strip() for one in text.split(","))
