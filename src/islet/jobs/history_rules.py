"""The job `history_rules`: asks the rules about whole days, each as often as its `every` says."""

from collections.abc import Callable
from typing import Final

import msgspec

from islet.engine.in_force import Rules
from islet.engine.nightly import AT_ONCE, Answer, ask, due, ended
from islet.jobs.base import Finding, Progress
from islet.store.base import Registry, Store

_decoder: Final = msgspec.json.Decoder(dict[str, int])


class HistoryRulesJob:
    """Implements `islet.jobs.base.Job`. Reads a quarter of a year of everybody whom such a rule looks at, some people
    at a time. A rule that costs too much about some is not asked about the others."""

    name = "history_rules"
    sentence = "Asks the rules about whole days, and says what they find as alerts."

    def __init__(self, store: Store, registry: Registry, rules: Callable[[], Rules]) -> None:
        """`rules`: those in force when it is asked (`islet.engine.rulebook.RuleBook.current`)."""
        self._store, self._registry, self._rules = store, registry, rules

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        """The result is when each rule was asked last."""
        rules = self._rules()
        asked_us = {} if before is None else _decoder.decode(before)
        now = due(rules, asked_us, now_us)
        people = sorted(self._registry.patients(), key=lambda patient: patient.id) if now else []
        whole = Answer()
        for begin in range(0, len(people), AT_ONCE):
            progress(begin, len(people))
            asked = [rule for rule in now if rule.name not in whole.costly]
            answer = ask(self._store, rules, people[begin : begin + AT_ONCE], asked, now_us)
            whole.changes += answer.changes
            whole.refused |= answer.refused
            whole.costly |= answer.costly
        there = {rule.name for rule in rules.plan.history}
        whole.changes += ended(self._store, asked_us.keys() - there, now_us)
        told = {rule.name: now_us for rule in now if rule.name not in whole.refused}
        kept = {name: at_us for name, at_us in (asked_us | told).items() if name in there}
        return Finding(
            result=msgspec.json.encode(kept), counts=_counts(whole, len(people), len(now)), changes=whole.changes
        )


def _counts(answer: Answer, people: int, rules: int) -> dict[str, int]:
    opened = sum(change.change == "opened" for change in answer.changes)
    cleared = len(answer.changes) - opened
    refused = len(answer.refused)
    return {"people": people, "rules": rules, "refused": refused, "opened": opened, "cleared": cleared}
