"""Rules over the history, as they are asked: rows of DuckDB to changes of alerts.

An alert opens at the instant that the rule's row names, the end of a patient's last local day as a rule, and ends at
the end of the first day for which the rule gives no row any more. Which alerts run is read from the store, so asking
twice says nothing new.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlglot import exp

from islet.engine import oracle
from islet.engine.history_tables import Person, history_tables
from islet.engine.in_force import Rules
from islet.engine.parameters import resolved
from islet.engine.rules import Rule
from islet.engine.sql import parse
from islet.engine.tables import HISTORY_TABLES
from islet.errors import RuleRefused, RuleTooCostly
from islet.model.alerts import Alert, AlertChange
from islet.model.people import Patient
from islet.model.time import EPOCH, HOUR_US, to_us
from islet.store.base import Store

_log = structlog.get_logger("islet.engine")

AT_ONCE: Final = 50
"""Patients whose tables are in memory at a time: a quarter of a year of each is some 50 MB."""
_EARLY_US: Final = 6 * HOUR_US
"""A night job does not begin at the same second each night, and summer time moves it by an hour."""
_MOST_ALERTS: Final = 100_000
_WITHIN_S: Final = 10.0
"""For a rule about so many patients; the shipped ones take a tenth of a second."""
_MOST_ROWS: Final = 1000 * AT_ONCE


@dataclass(kw_only=True, slots=True)
class Answer:
    """What asking gave: what is to be said, the rules that DuckDB refused, and those of them that cost too much."""

    changes: list[AlertChange] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    costly: set[str] = field(default_factory=set)


def due(rules: Rules, asked_us: Mapping[str, int], now_us: int) -> list[Rule]:
    """The rules whose time has come; `asked_us`: when each was asked last."""
    return [
        rule
        for rule in rules.plan.history
        if rule.name not in asked_us or now_us - asked_us[rule.name] >= rule.every_us - _EARLY_US
    ]


def ask(store: Store, rules: Rules, patients: Sequence[Patient], asked: Sequence[Rule], now_us: int) -> Answer:
    """Ask these rules about these patients, with the tables of all of them in memory. A rule that DuckDB refuses
    stops no other; what it said before stays. Raises SettingError without DuckDB."""
    answer = Answer()
    people = {one.id: Person.at(now_us, one, resolved(rules.plan, rules.layers, one)) for one in patients}
    names = frozenset(name for rule in asked for name in _tables_of(rule.sql))
    tables = history_tables(store, rules.plan, list(people.values()), now_us, names | {"patients"})
    running = _running(store, list(people), {rule.name for rule in asked})
    for rule in asked:
        try:
            rows = oracle.run(rule.sql, tables, within_s=_WITHIN_S, most_rows=_MOST_ROWS)
        except RuleTooCostly as error:
            _log.error("rule_too_costly", rule=rule.name, error=str(error))
            answer.refused.add(rule.name)
            answer.costly.add(rule.name)
            continue
        except RuleRefused:
            _log.error("rule_refused_by_duckdb", rule=rule.name)  # the reason may quote values
            answer.refused.add(rule.name)
            continue
        said = {str(patient): now_us if ts is None else to_us(ts.replace(tzinfo=EPOCH.tzinfo)) for patient, ts in rows}
        answer.changes += _changes(rule, people, said, running[rule.name], now_us)
    return answer


def ended(store: Store, rules: Collection[str], now_us: int) -> list[AlertChange]:
    """The ends of all that runs of rules that are no more."""
    if not rules:
        return []
    running = _running(store, None, rules)
    return [_cleared(alert, now_us) for name in sorted(rules) for alert in running[name].values()]


def _tables_of(sql: str) -> set[str]:
    return {table.name.lower() for table in parse(sql).find_all(exp.Table)} & set(HISTORY_TABLES)


def _running(store: Store, patients: Sequence[str] | None, rules: Collection[str]) -> dict[str, dict[str, Alert]]:
    """The alerts of these rules that are active, by rule and patient."""
    found: dict[str, dict[str, Alert]] = defaultdict(dict)
    for alert in store.alerts(patients, active_only=True, limit=_MOST_ALERTS):
        if alert.active and alert.rule in rules:
            found[alert.rule][alert.patient] = alert
    return found


def _changes(
    rule: Rule, people: Mapping[str, Person], said: Mapping[str, int], running: Mapping[str, Alert], now_us: int
) -> list[AlertChange]:
    """What leads from the alerts that run to the rows that were said, of those whom the rule looks at."""
    changes = []
    for id, one in people.items():
        looked_at = one.resolved.enabled[rule.name]
        if id in running and not looked_at:
            changes.append(_cleared(running[id], now_us))
        elif id in running and id not in said:
            changes.append(_cleared(running[id], max(one.day_end_us, running[id].onset_us)))
        elif id not in running and id in said and looked_at:
            changes.append(_opened(rule, id, min(said[id], now_us)))
    return changes


def _opened(rule: Rule, patient: str, onset_us: int) -> AlertChange:
    return AlertChange(
        change="opened", rule=rule.name, patient=patient, onset_us=onset_us, at_us=onset_us, severity=rule.severity
    )


def _cleared(alert: Alert, at_us: int) -> AlertChange:
    return AlertChange(
        change="cleared",
        rule=alert.rule,
        patient=alert.patient,
        onset_us=alert.onset_us,
        at_us=at_us,
        severity=alert.severity,
    )
