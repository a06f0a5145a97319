"""Rules: SQL files with a front matter, read and planned for the kernel.

A file begins with a block comment that holds TOML, then one SELECT (see `islet.engine.sql`):

    /*
    name = "low"
    title = "Low glucose"
    severity = "warning"
    enabled = "all"
    clear = "glucose_mg_dl >= 75"
    sources = ["..."]
    */
    SELECT patient, device, ts FROM readings WHERE glucose_mg_dl < 70
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from islet.engine.evaluate import Program
from islet.engine.predicates import Code, write_predicate
from islet.engine.sql import GLUCOSE, Aggregate, Feature, Query, read_predicate, read_query
from islet.errors import RuleRefused
from islet.model.alerts import Severity

MOST_RULES: Final = 32
"""A rule is a bit of a uint32 mask per reading."""

KERNEL_AGGREGATES: Final[tuple[Aggregate, ...]] = ("sum", "count", "min", "max", "first", "last")
"""What the kernel computes for each distinct window, in this order; glucose itself is register 0."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as written. `clear`: when a running episode ends; empty: as soon as the condition is false.

    `enabled`: "all" patients, or "tags:a,b" for those with one of these tags.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,40}$")]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    severity: Severity
    enabled: Annotated[str, Meta(pattern="^(all|tags:[a-z0-9_,-]+)$")] = "all"
    clear: str = ""
    sources: tuple[str, ...] = ()
    sql: str = ""

    def applies_to(self, tags: Iterable[str]) -> bool:
        """Whether the rule looks at a patient with these tags."""
        return self.enabled == "all" or not set(self.enabled.removeprefix("tags:").split(",")).isdisjoint(tags)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Which rules look at which patient: a mask of rule bits each; `otherwise` for patients not named.

    Replaced as a whole when something changes; two with equal content are equal.
    """

    otherwise: int
    masks: Mapping[str, int] = field(default_factory=dict)

    def mask(self, patient: str) -> int:
        return self.masks.get(patient, self.otherwise)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Rules made ready: rule i is bit i of every mask."""

    rules: tuple[Rule, ...]
    program: Program

    def mask(self, tags: Iterable[str]) -> int:
        """The bits of the rules that look at a patient with these tags."""
        tags = frozenset(tags)
        return sum(1 << bit for bit, rule in enumerate(self.rules) if rule.applies_to(tags))

    def reference(self, tags_of: Mapping[str, Iterable[str]]) -> Reference:
        """The reference for patients with these tags; a patient who is not known yet has none."""
        otherwise = self.mask(())
        masks = {patient: self.mask(tags) for patient, tags in tags_of.items()}
        return Reference(otherwise=otherwise, masks={p: m for p, m in masks.items() if m != otherwise})


def load_rules(directory: Path | Traversable | None = None) -> tuple[Rule, ...]:
    """All rules in a directory, by name; the shipped ones by default. Raises RuleRefused, naming the file."""
    source = files("islet").joinpath("rules") if directory is None else directory
    found = []
    for entry in sorted(source.iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".sql"):
            continue
        try:
            rule = read_rule(entry.read_text(encoding="utf-8"))
            if rule.name != entry.name.removesuffix(".sql"):
                raise RuleRefused(f"the file has to be called {rule.name}.sql", line=2)
            plan([rule])
        except RuleRefused as error:
            error.args = (f"{entry.name}, {error}",)
            raise
        found.append(rule)
    return tuple(found)


def read_rule(text: str) -> Rule:
    """The rule in a file's text. Raises RuleRefused."""
    comment = re.match(r"/\*(.*?)\*/", text, re.DOTALL)
    if comment is None:
        raise RuleRefused("a rule begins with /* and its front matter in TOML", line=1)
    try:
        values = tomllib.loads(comment[1])
        return msgspec.convert({**values, "sql": text}, Rule)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise RuleRefused(f"front matter is not TOML: {error}", line=int(at[1]) if at else 1) from None
    except msgspec.ValidationError as error:
        raise RuleRefused(f"front matter: {error}", line=1) from None


def plan(rules: Sequence[Rule]) -> Plan:
    """The rules made ready for the engine. Raises RuleRefused for a rule that is outside of the subset."""
    if len(rules) > MOST_RULES:
        raise RuleRefused(f"expected at most {MOST_RULES} rules in one plan; got {len(rules)}", line=1)
    queries = [read_query(rule.sql) for rule in rules]
    windows = sorted({f.window_us for query in queries for f in query.features.values()} - {0})
    rows, places = _rows({feature for query in queries for feature in query.features.values()}, windows)
    code = Code(len(rows))
    flags = [_predicates(rule, query, rows, code) for rule, query in zip(rules, queries, strict=True)]
    silence_us = [query.silence_us for query in queries]
    program = Program(
        windows_us=np.array(windows, np.int64),
        asking=np.array([_asking(queries, window) for window in windows], np.int64),
        places=places,
        instructions=code.instructions(),
        constants=code.constants(),
        registers=code.registers,
        flags=np.array(flags, np.int64).reshape(-1, 2),
        silence_us=np.array(silence_us, np.int64),
        reading_bits=sum(1 << bit for bit, length in enumerate(silence_us) if length == 0),
    )
    return Plan(rules=tuple(rules), program=program)


def _asking(queries: Sequence[Query], window_us: int) -> int:
    """The bits of the rules that look at this window."""
    asks = [any(feature.window_us == window_us for feature in query.features.values()) for query in queries]
    return sum(1 << bit for bit, yes in enumerate(asks) if yes)


def _rows(asked: set[Feature], windows: Sequence[int]) -> tuple[dict[Feature, int], NDArray[np.int64]]:
    """A register for each feature that the kernel has to compute; an average is a sum and a count."""
    asked = asked | {Feature(part, f.window_us) for f in asked if f.aggregate == "avg" for part in ("sum", "count")}
    rows = {GLUCOSE: 0}
    places = np.full((len(windows), len(KERNEL_AGGREGATES)), -1, np.int64)
    for w, window_us in enumerate(windows):
        for k, aggregate in enumerate(KERNEL_AGGREGATES):
            if Feature(aggregate, window_us) in asked:
                places[w, k] = rows[Feature(aggregate, window_us)] = len(rows)
    return rows, places


def _predicates(rule: Rule, query: Query, rows: Mapping[Feature, int], code: Code) -> tuple[int, int]:
    """The registers of breach and clear of one rule, -1 for a silence; no `clear` means: not breach."""
    if query.predicate is None:
        if rule.clear:
            raise RuleRefused("a silence ends with the next reading; it takes no clear", line=_line_of(rule, "clear"))
        return -1, -1
    breach = write_predicate(query.predicate, query.features, rows, code)
    if not rule.clear:
        return breach, code.negated(breach)
    ending = read_predicate(rule.clear, line=_line_of(rule, "clear"))
    return breach, write_predicate(ending, query.features, rows, code)


def _line_of(rule: Rule, key: str) -> int:
    lines = rule.sql.splitlines()
    return next((number for number, line in enumerate(lines, 1) if re.match(rf"\s*{key}\s*=", line)), 1)
