"""The part of IoT Hub's query language that SDKs and their users need for lists of devices.

    SELECT [TOP 9] * | deviceId, tags.ward AS ward | tags.ward, COUNT() AS n, AVG(tags.beds) AS beds (SUM, MIN, MAX)
    FROM devices | devices.modules | devices.jobs   [GROUP BY tags.ward, behind WHERE]
    [WHERE tags.ward = 4 AND NOT (properties.reported.battery < 20 OR is_defined(tags.lost)) AND deviceId IN ['a', 'b']]

Comparisons with what is not there, or between different types, are false. Source: MicrosoftDocs azure-docs,
iot-hub-devguide-query-language.md.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from islet.decode.iothub_aggregates import ABSENT, AGGREGATES, Column, at, grouped
from islet.decode.iothub_twins import Json, JsonObject
from islet.errors import BadInput

Condition = Callable[[JsonObject], bool]
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<single>(?:[^'\\]|\\.)*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\""
    r"|(?P<word>[A-Za-z_$][\w$\-]*(?:\.[A-Za-z_$][\w$\-]*)*)|(?P<sign><=|>=|!=|<>|[=<>()\[\],*]))"
)
_COMPARISONS: Final[Mapping[str, Callable[..., bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}
_CONSTANTS: Final[Mapping[str, Json]] = {"true": True, "false": False, "null": None}
_MOST_TEXT: Final = 4096
_MOST_DEPTH: Final = 50
_MOST_TOP: Final = 1_000_000


class Query(Struct, frozen=True, kw_only=True):
    """What is asked: no columns mean everything; `top`: at most so many rows (0: all)."""

    columns: tuple[Column, ...] = ()
    group: str = ""
    top: int = 0
    modules: bool = False
    jobs: bool = False
    matches: Condition = lambda document: True

    def shown(self, document: JsonObject) -> JsonObject:
        """What is asked for of one document."""
        if not self.columns:
            return document
        found = ((one.name, at(document, one.path)) for one in self.columns)
        return {name: value for name, value in found if value is not ABSENT}  # type: ignore[misc]

    @property
    def aggregates(self) -> bool:
        """Whether its rows are of groups, not of single documents."""
        return bool(self.group) or any(one.aggregate for one in self.columns)

    def rows(self, documents: Sequence[JsonObject]) -> list[JsonObject]:
        """Those of an aggregate query, of the documents that match."""
        return grouped(self.columns, self.group, documents)


def parse_query(text: str) -> Query:
    """Raises BadInput for what is not in this part of the language.

    >>> query = parse_query("SELECT deviceId FROM devices WHERE tags.ward = 4")
    >>> [query.shown(one) for one in ({"deviceId": "a", "tags": {"ward": 4}}, {"deviceId": "b"}) if query.matches(one)]
    [{'deviceId': 'a'}]
    """
    if len(text) > _MOST_TEXT:
        raise BadInput(f"query: expected at most {_MOST_TEXT} characters", reason="query")
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def query(self) -> Query:
        self._expect("select")
        top, columns = self._top(), self._columns()
        self._expect("from")
        source = self._take().lower()
        if source not in ("devices", "devices.modules", "devices.jobs"):
            raise _unexpected("devices, devices.modules or devices.jobs", source)
        matches: Condition = lambda document: True  # noqa: E731
        if self._is("where"):
            self._take()
            matches = self._either()
        group = self._group(columns)
        if self._next < len(self._tokens):
            raise _unexpected("the end of the query", self._take())
        return Query(
            columns=columns,
            group=group,
            top=top,
            modules=source == "devices.modules",
            jobs=source == "devices.jobs",
            matches=matches,
        )

    def _top(self) -> int:
        if not self._is("top") or self._next + 1 >= len(self._tokens) or self._tokens[self._next + 1][0] != "number":
            return 0
        self._take()
        number = self._take()
        if not number.isdigit() or not 0 < int(number) <= _MOST_TOP:
            raise _unexpected(f"a number from 1 to {_MOST_TOP}", number)
        return int(number)

    def _columns(self) -> tuple[Column, ...]:
        if self._is("*"):
            self._take()
            return ()
        columns = [self._column()]
        while self._is(","):
            self._take()
            columns.append(self._column())
        return tuple(columns)

    def _column(self) -> Column:
        path = self._word()
        if not self._is("("):
            return Column(path, self._name(path))
        aggregate, path = path.lower(), ""
        if aggregate not in AGGREGATES:
            raise _unexpected("COUNT, AVG, SUM, MIN or MAX", aggregate)
        self._expect("(")
        if aggregate != "count":
            path = self._word()
        self._expect(")")
        return Column(path, self._name(aggregate), aggregate)

    def _group(self, columns: Sequence[Column]) -> str:
        """The path behind GROUP BY, "" where it does not say it; beside aggregates only that may be shown."""
        group = ""
        if self._is("group"):
            self._take()
            self._expect("by")
            group = self._word()
            if not columns:
                raise _unexpected("columns before GROUP BY", "*")
        elif not any(one.aggregate for one in columns):
            return ""
        for one in columns:
            if not one.aggregate and one.path != group:
                raise _unexpected("only what is grouped by beside COUNT, AVG, SUM, MIN and MAX", one.path)
        return group

    def _name(self, usual: str) -> str:
        if not self._is("as"):
            return usual
        self._take()
        return self._word()

    def _either(self) -> Condition:
        return self._joined("or", self._all, any)

    def _all(self) -> Condition:
        return self._joined("and", self._not, all)

    def _joined(self, word: str, part: Callable[[], Condition], join: Callable[[Iterable[bool]], bool]) -> Condition:
        parts = [part()]
        while self._is(word):
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else lambda document: join(one(document) for one in parts)

    def _not(self) -> Condition:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise BadInput(f"query: expected conditions at most {_MOST_DEPTH} deep", reason="query")
        try:
            if self._is("not"):
                self._take()
                inner = self._not()
                return lambda document: not inner(document)
            if self._is("("):
                self._take()
                inner = self._either()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        path = self._word()
        if self._is("("):
            return self._function(path.lower())
        sign = self._take().lower()
        if sign in ("in", "nin"):
            values, wanted = self._list(), sign == "in"
            return lambda document: (found := at(document, path)) is not ABSENT and (found in values) is wanted
        if sign not in _COMPARISONS:
            raise _unexpected("a comparison", sign)
        compare, value = _COMPARISONS[sign], self._value()
        return lambda document: _compared(compare, at(document, path), value)

    def _function(self, name: str) -> Condition:
        self._expect("(")
        path = self._word()
        if name == "is_defined":
            self._expect(")")
            return lambda document: at(document, path) is not ABSENT
        if name not in _TESTS:
            raise _unexpected("a function that is known here", name)
        self._expect(",")
        test, value = _TESTS[name], self._value()
        self._expect(")")
        if not isinstance(value, str):
            raise _unexpected("a text", str(value))
        return lambda document: isinstance(found := at(document, path), str) and test(found, value)

    def _list(self) -> list[Json]:
        self._expect("[")
        values = [self._value()]
        while self._is(","):
            self._take()
            values.append(self._value())
        self._expect("]")
        return values

    def _value(self) -> Json:
        kind, text = self._token()
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind in ("single", "double"):
            return re.sub(r"\\(.)", r"\1", text)
        if kind == "word" and text.lower() in _CONSTANTS:
            return _CONSTANTS[text.lower()]
        raise _unexpected("a value", text)

    def _word(self) -> str:
        kind, text = self._token()
        if kind != "word":
            raise _unexpected("a name", text)
        return text

    def _is(self, text: str) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next][1].lower() == text

    def _expect(self, text: str) -> None:
        found = self._take()
        if found.lower() != text:
            raise _unexpected(text.upper(), found)

    def _take(self) -> str:
        return self._token()[1]

    def _token(self) -> tuple[str, str]:
        if self._next == len(self._tokens):
            raise _unexpected("more", "the end of the query")
        self._next += 1
        return self._tokens[self._next - 1]


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _unexpected("a name, a value or a sign", text[at : at + 10])
        at = token.end()
        kind = token.lastgroup or ""
        yield kind, token[kind]


def _compared(compare: Callable[..., bool], found: object, value: Json) -> bool:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, value))
    if not numbers and type(found) is not type(value):
        return False
    try:
        return compare(found, value)
    except TypeError:
        return False


def _unexpected(expected: str, found: str) -> BadInput:
    return BadInput(f"query: expected {expected}; got {found[:40]!r}", reason="query")
