"""The part of IoT Hub's query language that SDKs and their users need for lists of devices.

    SELECT * | COUNT() AS n | deviceId, tags.ward AS ward   FROM devices | devices.modules | devices.jobs
    [WHERE tags.ward = 4 AND NOT (properties.reported.battery < 20 OR is_defined(tags.lost)) AND deviceId IN ['a', 'b']]

Comparisons with what is not there, or between different types, are false. Source: MicrosoftDocs azure-docs,
iot-hub-devguide-query-language.md.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

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
_ABSENT: Final = object()


class Query(Struct, frozen=True, kw_only=True):
    """What is asked. `columns` are (path, name); none means everything; `count` is the name of the number asked for."""

    columns: tuple[tuple[str, str], ...] = ()
    count: str = ""
    modules: bool = False
    jobs: bool = False
    matches: Condition = lambda document: True

    def shown(self, document: JsonObject) -> JsonObject:
        """What is asked for of one document."""
        if not self.columns:
            return document
        found = ((name, _at(document, path)) for path, name in self.columns)
        return {name: value for name, value in found if value is not _ABSENT}  # type: ignore[misc]


def parse_query(text: str) -> Query:
    """Raises BadInput for what is not in this part of the language.

    >>> query = parse_query("SELECT deviceId FROM devices WHERE tags.ward = 4")
    >>> [query.shown(one) for one in ({"deviceId": "a", "tags": {"ward": 4}}, {"deviceId": "b"}) if query.matches(one)]
    [{'deviceId': 'a'}]
    """
    if len(text) > _MOST_TEXT:
        raise BadInput(f"query: expected at most {_MOST_TEXT} characters", reason="query")
    return _Parser(text).query()


def _at(document: JsonObject, path: str) -> object:
    found: object = document
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return _ABSENT
        found = found[name]
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def query(self) -> Query:
        self._expect("select")
        columns, count = self._columns()
        self._expect("from")
        source = self._take().lower()
        if source not in ("devices", "devices.modules", "devices.jobs"):
            raise _unexpected("devices, devices.modules or devices.jobs", source)
        matches: Condition = lambda document: True  # noqa: E731
        if self._is("where"):
            self._take()
            matches = self._either()
        if self._next < len(self._tokens):
            raise _unexpected("the end of the query", self._take())
        return Query(
            columns=columns,
            count=count,
            modules=source == "devices.modules",
            jobs=source == "devices.jobs",
            matches=matches,
        )

    def _columns(self) -> tuple[tuple[tuple[str, str], ...], str]:
        if self._is("*"):
            self._take()
            return (), ""
        if self._is("count"):
            self._take()
            for sign in "()":
                self._expect(sign)
            return (), self._name("count")
        columns = [self._column()]
        while self._is(","):
            self._take()
            columns.append(self._column())
        return tuple(columns), ""

    def _column(self) -> tuple[str, str]:
        path = self._word()
        return path, self._name(path)

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
            return lambda document: (found := _at(document, path)) is not _ABSENT and (found in values) is wanted
        if sign not in _COMPARISONS:
            raise _unexpected("a comparison", sign)
        compare, value = _COMPARISONS[sign], self._value()
        return lambda document: _compared(compare, _at(document, path), value)

    def _function(self, name: str) -> Condition:
        self._expect("(")
        path = self._word()
        if name == "is_defined":
            self._expect(")")
            return lambda document: _at(document, path) is not _ABSENT
        if name not in _TESTS:
            raise _unexpected("a function that is known here", name)
        self._expect(",")
        test, value = _TESTS[name], self._value()
        self._expect(")")
        if not isinstance(value, str):
            raise _unexpected("a text", str(value))
        return lambda document: isinstance(found := _at(document, path), str) and test(found, value)

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
