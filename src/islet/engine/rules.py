"""Rules made ready: those of each stream as one program, those over the history as they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from islet.engine.code import Code
from islet.engine.frontmatter import Parameter as Parameter
from islet.engine.frontmatter import Rule as Rule
from islet.engine.frontmatter import line_of
from islet.engine.frontmatter import read_rule as read_rule
from islet.engine.history import check_history
from islet.engine.predicates import write_predicate
from islet.engine.program import MOST_RULES, Features, Program
from islet.engine.registers import Flags, write_program
from islet.engine.sql import Query, read_predicate, read_query, refused, stream_of
from islet.engine.tables import FORECASTS, GLUCOSE, STREAMS, TABLES, Column, Limit
from islet.engine.titles import WITHOUT_FILE
from islet.errors import RuleRefused
from islet.model.ahead import Foreteller


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPlan:
    """The rules of one stream; rule i is bit i of every mask.

    `foreteller`: who fills in what is foretold, where rules look at it; then the stream is that of forecasts, which is
    apart from that of the quantity. `scale`: integers to the quantity's unit. `parameters`: what stands in each column of the patients' parameters: a
    parameter of a rule, `low_mg_dl`, `high_mg_dl`, or `profile=x` (1 where the patient's profile is x).
    """

    quantity: str
    scale: int
    rules: tuple[Rule, ...]
    features: Features
    program: Program
    parameters: tuple[str, ...] = ()
    foreteller: Foreteller | None = None

    @property
    def name(self) -> str:
        """Of the stream: its key in `Plan.streams`."""
        return self.quantity if self.foreteller is None else FORECASTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All rules. `streams`: those that values, or their absence, decide, by name: the quantity, with glucose always
    there, and `forecasts`. `history`: those that are asked every so often. `parameters`: all parameters that can be
    set. `foreteller`: of the rules over forecasts; None: the damped slope (`islet.engine.foretell`)."""

    rules: tuple[Rule, ...]
    streams: Mapping[str, StreamPlan]
    history: tuple[Rule, ...]
    parameters: Mapping[str, Parameter]
    foreteller: Foreteller | None = None


def load_rules(directory: Path | Traversable | None = None) -> tuple[Rule, ...]:
    """All rules in a directory, by name; the shipped ones by default. Raises RuleRefused, naming the file."""
    source = files("islet").joinpath("rules") if directory is None else directory
    texts = {e.name: e.read_text(encoding="utf-8") for e in source.iterdir() if e.name.endswith(".sql")}
    found = {}
    for name in sorted(texts):
        with _Naming(name):
            found[name] = read_rule(texts[name])
            if found[name].name != name.removesuffix(".sql"):
                raise RuleRefused(f"the file has to be called {found[name].name}.sql", line=2)
    rules = tuple(found.values())
    for name, rule in found.items():
        with _Naming(name):
            check_rule(rule, rules)
    return rules


def check_rule(rule: Rule, beside: Iterable[Rule] = ()) -> None:
    """Raises RuleRefused for a rule that cannot be planned; `beside`: the rules it will stand beside."""
    if rule.name in WITHOUT_FILE:
        raise RuleRefused(
            f"{rule.name!r} is what another alert is called; choose another name", line=line_of(rule.sql, "name")
        )
    others = [other for other in beside if other.name != rule.name]
    plan([rule], beside=others)
    for other in others:
        if both := sorted(set(other.parameters) & set(rule.parameters)):
            line = line_of(rule.sql, rf"\[parameters\.{both[0]}\]")
            raise RuleRefused(f"parameter {both[0]} is declared by {other.name} already; use it, or rename", line=line)
    _check_readable(rule, others)
    if rule.worsens and rule.worsens not in {other.name for other in others}:
        raise RuleRefused(f"worsens: there is no rule {rule.worsens!r}", line=line_of(rule.sql, "worsens"))


def _check_readable(rule: Rule, others: Sequence[Rule]) -> None:
    """A parameter is a column of `patients` for the other rules, too: none of them may mean something else by it."""
    for other in others:
        both = sorted(name for name in rule.parameters if re.search(rf"\b{name}\b", other.sql, re.IGNORECASE))
        if not both or other.every:
            continue  # of rules with `every`, DuckDB is asked (`islet.engine.history_check`)
        beside = [one for one in others if one is not other]
        try:
            plan([other], beside=beside)
        except RuleRefused:
            continue  # it does not work without the parameter, as it should
        try:
            plan([other], beside=[*beside, rule])
        except RuleRefused:
            line = line_of(rule.sql, rf"\[parameters\.{both[0]}\]")
            reason = f"parameter {both[0]}: {other.name} has a column of that name; choose another"
            raise RuleRefused(reason, line=line) from None


def plan(rules: Sequence[Rule], *, beside: Sequence[Rule] = (), foreteller: Foreteller | None = None) -> Plan:
    """The rules made ready for the engine; they may use the parameters of those `beside`. Raises RuleRefused."""
    parameters = {name: one for rule in [*beside, *rules] for name, one in rule.parameters.items()}
    limits = {name: _limit(name, parameter) for name, parameter in parameters.items()}
    by_stream: dict[str, list[tuple[Rule, Query]]] = {name: [] for name in (*(s.name for s in STREAMS), FORECASTS)}
    for rule in rules:
        if rule.every:
            check_history(rule.sql)
        else:
            query = read_query(rule.sql, limits)
            ahead = foreteller is not None and query.scope.table is TABLES[FORECASTS]
            by_stream[FORECASTS if ahead else query.stream].append((rule, query))
    asked = {name: found for name, found in by_stream.items() if found or name == "glucose_mg_dl"}
    return Plan(
        rules=tuple(rules),
        streams={name: _stream_plan(name, found, foreteller) for name, found in asked.items()},
        history=tuple(rule for rule in rules if rule.every),
        parameters=parameters,
        foreteller=foreteller,
    )


def _stream_plan(name: str, rules: Sequence[tuple[Rule, Query]], foreteller: Foreteller | None) -> StreamPlan:
    if len(rules) > MOST_RULES:
        raise RuleRefused(f"expected at most {MOST_RULES} rules about {name}; got {len(rules)}", line=1)
    quantity = GLUCOSE.name if name == FORECASTS else name
    stream = next(stream for stream in STREAMS if stream.name == quantity)
    code = Code(stream.low, stream.high)
    flags = [_flags(rule, query, code) for rule, query in rules]
    silence_us = [query.silence_us for _, query in rules]
    sustained_us = [rule.sustained_us for rule, _ in rules]
    features, program, parameters = write_program(code, flags, silence_us, sustained_us)
    found = tuple(rule for rule, _ in rules)
    return StreamPlan(
        quantity=quantity,
        scale=stream.scale,
        rules=found,
        features=features,
        program=program,
        parameters=parameters,
        foreteller=foreteller if name == FORECASTS else None,
    )


def _flags(rule: Rule, query: Query, code: Code) -> Flags:
    """The values of breach and clear of one rule; no `clear` means: the opposite of breach."""
    if query.predicate is None:
        if rule.clear or rule.sustained:
            line = line_of(rule.sql, "clear" if rule.clear else "sustained")
            raise RuleRefused("a silence ends with the next reading; it takes no clear and no sustained", line=line)
        return ()
    breach = write_predicate(query.predicate, query.scope, code).yes
    if (always := code.number(breach)) is not None:
        raise refused(f"this condition is {'always' if always else 'never'} true", query.predicate)
    if query.scope.table.sparse:
        _check_absent(query)
    if not rule.clear:
        return (breach,)
    line = line_of(rule.sql, "clear")
    ending = read_predicate(rule.clear, line=line)
    if stream_of(ending, query.scope) != query.stream:
        raise RuleRefused(f"clear: expected a condition on {query.stream}, as the rule is", line=line)
    clears = write_predicate(ending, query.scope, code).yes
    if code.number(clears) == 0:
        raise RuleRefused("clear: this condition is never true; the episode would never end", line=line)
    return breach, clears


def _check_absent(query: Query) -> None:
    """The engine looks at values only, SQL at all rows of a table: both see the same where rows without a value can
    never fulfil the condition."""
    assert query.predicate is not None
    code = Code(0, 1)
    if code.number(write_predicate(query.predicate, query.scope, code, absent=True).yes) != 0:
        raise refused(
            f"rows without {query.stream} could fulfil this condition; add AND {query.stream} IS NOT NULL",
            query.predicate,
        )


def _limit(name: str, parameter: Parameter) -> Column:
    scale = 10**parameter.decimals
    return Limit(name, scale, parameter.integer(parameter.min), parameter.integer(parameter.max))


class _Naming:
    """Puts the name of a file before the message of a refusal."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, RuleRefused):
            error.args = (f"{self.name}, {error}",)
