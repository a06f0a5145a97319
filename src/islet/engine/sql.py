"""The portable subset of SQL that a rule is written in: from text to a checked description.

    SELECT … FROM table [JOIN patients USING (patient)] WHERE predicate
    SELECT … FROM (SELECT …, aggregate OVER (window) AS name FROM table) AS alias [JOIN patients …] WHERE predicate
    SELECT … FROM last_readings WHERE minutes_since >= n
    WITH alias AS (SELECT …) SELECT …

where the window is PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL 'n' MINUTE PRECEDING AND CURRENT ROW and
the tables are those of `islet.engine.tables`. The same text runs unchanged on DuckDB and Spark. Anything else is
refused with its line and what is allowed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from islet.engine.tables import PATIENTS, STREAMS, TABLES, Column, Named, Quantity, Table
from islet.engine.written_out import written_out
from islet.errors import RuleRefused
from islet.model.time import DAY_US, MINUTE_US

_LONGEST_SILENCE_US: Final = 31 * DAY_US
_DEEPEST: Final = 60
"""Levels of a statement: one further AND is one, and each costs some frames of Python's thousand."""
_MANY: Final = 20
_LONGEST_TEXT: Final = 100_000
_TOO_DEEP: Final = f"nested too deep; expected at most {_DEEPEST} levels of brackets and of AND, OR in a row"
_FORMS: Final = (
    "SELECT columns FROM a table (or a subquery, or a name of WITH, with windows over it), "
    "JOIN patients USING (patient) where it is needed, WHERE predicate"
)
_NAMES: Final = {
    "WITH": " but for a few names, each used after FROM, without RECURSIVE and without names for columns",
    "WINDOW": " but for whole windows, as WINDOW name AS (PARTITION BY …) and then OVER name",
}
_NO_OTHER_JOIN: Final = "expected JOIN patients USING (patient), once, and no other join"


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression can use: columns of a table, or expressions in the scope of a subquery. `sources`:
    what may stand before a name, with a point between, and before which."""

    table: Table
    names: "Mapping[str, Column | Defined]"
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def find(self, node: exp.Column) -> "Column | Defined":
        """What a column's name stands for. Raises RuleRefused."""
        if node.this.args.get("quoted"):
            raise refused(f"{node.sql()}: a quoted name is a text on some engines; write it without quotes", node)
        if node.table and node.table.lower() not in self.sources:
            known = ", ".join(sorted(self.sources)) or "none"
            raise refused(f"{node.sql()}: unknown table {node.table!r}; there are {known}", node)
        there = self.sources[node.table.lower()] if node.table else self.names.keys()
        found = self.names.get(node.name.lower())
        if found is None or node.name.lower() not in there:
            raise refused(f"unknown column {node.sql()!r}; {_there_are(there, node)}", node)
        return found


def _there_are(there: Iterable[str], node: exp.Column) -> str:
    """Which columns there are, of very many the nearest; and where that one is."""
    name, names = node.name.lower(), sorted(there)
    some = names if len(names) <= _MANY else get_close_matches(name, names, n=5, cutoff=0.3)
    found = (
        f"there are {', '.join(some)}" if len(names) <= _MANY else f"of {len(names)} the nearest are {', '.join(some)}"
    )
    if name in PATIENTS and not node.table:
        return f"{found}; to have those of patients, say JOIN patients USING (patient) in this FROM"
    tables = [table for table, one in TABLES.items() if name in one.columns and name not in names and not node.table]
    return f"{found}; {name} is a column of {', '.join(tables)}" if tables else found


@dataclass(frozen=True, slots=True)
class Defined:
    """An expression that a subquery has given a name."""

    node: exp.Expression
    scope: Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a rule's SELECT says: a predicate on one stream, or a silence of `silence_us` (then no predicate)."""

    scope: Scope
    stream: str
    predicate: exp.Expression | None = None
    silence_us: int = 0


def read_query(text: str, patients: Mapping[str, Column]) -> Query:
    """The query in a rule's file (comments are skipped); `patients`: columns that rules add to that table.

    Raises RuleRefused.
    """
    select = written_out(_parsed(text))
    _check_depth(select, text)
    _only(select, {"expressions", "from_", "joins", "where"})
    where = select.args.get("where")
    if where is None:
        raise refused("a rule needs a WHERE: the condition of the alarm", select)
    scope = _scope(select, {**PATIENTS, **patients})
    for output in select.expressions:
        column = output.this if isinstance(output, exp.Alias) else output
        if isinstance(column, exp.Column):
            scope.find(column)
        elif not _is_star(column):
            raise refused(f"{output.sql()!r} cannot be selected; there are {', '.join(sorted(scope.names))}", output)
    if scope.table is TABLES["last_readings"]:
        return Query(scope=scope, stream="glucose_mg_dl", silence_us=_silence_us(where.this))
    return Query(scope=scope, stream=stream_of(where.this, scope), predicate=where.this)


def _is_star(node: exp.Expression) -> bool:
    return isinstance(node, exp.Star) and not any(node.args.values())


def read_predicate(text: str, *, line: int) -> exp.Expression:
    """A predicate that stands alone (the clearing condition in the front matter, at that line)."""
    try:
        select = _parsed(f"SELECT 1 WHERE {text}")
        _only(select, {"expressions", "where"})
    except RuleRefused:
        raise RuleRefused(
            f"clear: expected a predicate such as 'glucose_mg_dl >= 75'; got {text[:200]!r}", line=line
        ) from None
    predicate: exp.Expression = select.args["where"].this.copy()  # its lines become the file's
    for node in predicate.walk():
        node.meta["line"] = line
    return predicate


def stream_of(node: exp.Expression, scope: Scope) -> str:
    """The one quantity that a predicate looks at. Raises RuleRefused where there is none, or more than one."""
    if window := node.find(exp.Window):
        raise refused(f"a window cannot stand in a condition; give it a name in a subquery: {_FORMS}", window)
    quantities = {column.stream.name for column in _columns(node, scope, set()) if isinstance(column, Quantity)}
    if len(quantities) == 1:
        return quantities.pop()
    if quantities:
        raise refused(f"{' and '.join(sorted(quantities))} are measured apart; write a rule for each", node)
    there = [name for name, column in scope.table.columns.items() if isinstance(column, Quantity)]
    if len(there) == 1:
        return there[0]
    raise refused(f"the condition looks at none of {', '.join(s.name for s in STREAMS)}; it has to look at one", node)


def named(node: exp.Expression | None, name: str, scope: Scope) -> bool:
    """Whether the expression is that column, be it through subqueries."""
    if node is None:
        return False
    node, scope = defined(node, scope)
    return isinstance(node, exp.Column) and scope.find(node) == Named(name)


def defined(node: exp.Expression, scope: Scope) -> tuple[exp.Expression, Scope]:
    """The expression behind a name that a subquery gave, with its own scope; the expression itself otherwise."""
    while isinstance(node, exp.Column | exp.Paren):
        if isinstance(node, exp.Paren):
            node = node.this
            continue
        found = scope.find(node)
        if not isinstance(found, Defined):
            break
        node, scope = found.node, found.scope
    return node, scope


def refused(message: str, node: exp.Expression) -> RuleRefused:
    """The refusal of a node, with its line: its own, or that of the nearest word that has one."""
    message = message.replace(" NULLS LAST", "")  # sqlglot writes it out where it is meant
    near: exp.Expr | None = node
    while near is not None:
        lines = [int(n.meta["line"]) for n in near.walk() if "line" in n.meta]
        if lines:
            return RuleRefused(message, line=min(lines))
        near = near.parent
    return RuleRefused(message, line=1)


def _parsed(text: str) -> exp.Select:
    statement = parse(text)
    if not isinstance(statement, exp.Select):
        raise RuleRefused(f"expected one {_FORMS}; got {statement.key.upper()}", line=first_line(text))
    return statement


@lru_cache(maxsize=512)  # a rule is read when it is checked, when it is planned, and each time another is added
def parse(text: str) -> exp.Expr:
    """The one statement in a text, which is shared: nobody changes it. Raises RuleRefused."""
    first = first_line(text)
    if len(text) > _LONGEST_TEXT:
        raise RuleRefused(f"expected at most {_LONGEST_TEXT} characters; got {len(text)}", line=first)
    try:
        statements = [s for s in sqlglot.parse(text, dialect="duckdb") if s is not None]
    except ParseError as error:
        at = error.errors[0]
        reason = re.sub(r"^Required keyword: .*", "something is missing beside it", str(at["description"]))
        raise RuleRefused(f"not SQL near {at['highlight']!r}: {reason}", line=at["line"]) from None
    except TokenError:
        raise RuleRefused("not SQL: a quote or a comment is not closed", line=text.count("\n") + 1) from None
    except RecursionError:
        raise RuleRefused(_TOO_DEEP, line=first) from None
    if len(statements) != 1:
        raise RuleRefused(f"expected one {_FORMS}; got {len(statements)} statements", line=first)
    _check_depth(statements[0], text)
    return statements[0]


def _check_depth(statement: exp.Expr, text: str) -> None:
    if any(_depth(node) > _DEEPEST for node in statement.walk()):
        raise RuleRefused(_TOO_DEEP, line=first_line(text))


def first_line(text: str) -> int:
    """The line on which a rule's SQL begins, below its front matter."""
    comment = re.match(r"/\*.*?\*/\s*", text, re.DOTALL)
    return text.count("\n", 0, comment.end() if comment else 0) + 1


def _depth(node: exp.Expr) -> int:
    depth, above = 0, node.parent
    while above is not None and depth <= _DEEPEST:
        depth, above = depth + 1, above.parent
    return depth


def _only(select: exp.Select, allowed: set[str]) -> None:
    for name, value in select.args.items():
        if value and name not in allowed:
            node = value[0] if isinstance(value, list) else value
            word = name.rstrip("s_").upper()
            where = node if isinstance(node, exp.Expression) else select
            raise refused(f"{word} is not in the subset{_NAMES.get(word, '')}; expected {_FORMS}", where)


def _scope(select: exp.Select, patients: Mapping[str, Column]) -> Scope:
    """The names behind a SELECT's FROM and JOIN."""
    source = select.args["from_"].this if select.args.get("from_") else None
    if isinstance(source, exp.Table):
        table = TABLES.get(source.name.lower())
        odd = source.this.args.get("quoted") or any(v for k, v in source.args.items() if k not in ("this", "alias"))
        if table is None or odd:
            raise refused(f"unknown table {source.sql()!r}; the tables are {', '.join(TABLES)}, and patients to join", source)  # fmt: skip
        scope = Scope(table, table.columns)
    elif isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select):
        scope = _outputs(source.this, patients)
    else:
        raise refused(f"expected {_FORMS}", select)
    joins = select.args.get("joins") or []
    for join in joins:
        _check_join(join, scope)
    here, there = ([one.alias_or_name.lower() for one in some] for some in ([source], [join.this for join in joins]))
    both = sorted(scope.names.keys() & patients.keys()) if joins else []
    if both or len(joins) > 1:
        reason = f"patients has a column {both[0]!r}, too; give the other one another name" if both else _NO_OTHER_JOIN
        raise refused(reason, joins[-1])
    of = {**dict.fromkeys(here, frozenset(scope.names)), **dict.fromkeys(there, frozenset([*patients, "patient"]))}
    return Scope(scope.table, {**scope.names, **patients} if joins else scope.names, of)


def _check_join(join: exp.Join, left: Scope) -> None:
    table, using = join.this, join.args.get("using") or []
    plain = not any(join.args.get(word) for word in ("side", "method", "on")) and join.args.get("kind") in (None, "", "INNER")  # fmt: skip
    if not (isinstance(table, exp.Table) and table.name.lower() == "patients" and not table.db and plain):
        raise refused(_NO_OTHER_JOIN, join)
    if [column.name.lower() for column in using] != ["patient"]:
        raise refused(_NO_OTHER_JOIN, join)
    if "patient" not in left.names:
        raise refused("JOIN patients USING (patient): the subquery has to select patient", join)


def _outputs(select: exp.Select, patients: Mapping[str, Column]) -> Scope:
    """The names that a subquery gives."""
    _only(select, {"expressions", "from_", "joins"})
    inner = _scope(select, patients)
    names: dict[str, Column | Defined] = {}
    for output in select.expressions:
        given: dict[str, Column | Defined]
        if isinstance(output, exp.Alias):
            given = {output.alias.lower(): Defined(output.this, inner)}
        elif _is_star(output):
            given = dict(inner.names)
        elif isinstance(output, exp.Column):
            given = {output.name.lower(): inner.find(output)}
        else:
            raise refused(f"{output.sql()!r}: expected a column, or an expression AS name", output)
        if twice := sorted(names.keys() & given.keys()):
            raise refused(f"two columns of the subquery are called {twice[0]!r}; give one another name", output)
        names |= given
    return Scope(inner.table, names)


def _columns(node: exp.Expression, scope: Scope, seen: set[int]) -> Iterator[Column]:
    """All columns of tables that an expression is made of. `seen`: definitions looked into already: each may use the
    one before it twice."""
    for column in node.find_all(exp.Column):
        found = scope.find(column)
        if not isinstance(found, Defined):
            yield found
        elif id(found) not in seen:
            seen.add(id(found))
            yield from _columns(found.node, found.scope, seen)


def _silence_us(predicate: exp.Expression) -> int:
    limit = predicate.expression if isinstance(predicate, exp.GTE) else None
    most = _LONGEST_SILENCE_US // MINUTE_US
    whole = limit is not None and limit.is_int and predicate.this.name.lower() == "minutes_since"
    if limit is None or not whole or not 1 <= int(limit.name) <= most:
        raise refused(f"from last_readings only WHERE minutes_since >= n, n a whole number from 1 to {most}", predicate)
    return int(limit.name) * MINUTE_US
