"""A policy as a form: rows of text fields, and back. What a form cannot show is kept as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from msgspec import structs

from islet.errors import BadInput
from islet.model.alerts import Severity
from islet.notify.policy import Policy, Step
from islet.notify.quiet import QuietHours

SPARE_ROWS: Final = 2
MOST_ROWS: Final = 30
_NUMBERS: Final = ("again_min", "snooze_most_min", "unanswered_h")
_DELAY: Final = "delay."
Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A step; `who` "" is a row that is not filled in. `rules`, `contact`: kept, and shown in words."""

    number: int
    who: str = ""
    channel: str = ""
    contact: str = ""
    after: str = ""
    repeat: str = ""
    severities: tuple[str, ...] = (Severity.URGENT, Severity.WARNING)
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The whole policy as text."""

    rows: list[Row]
    again_min: str = ""
    snooze_most_min: str = ""
    unanswered_h: str = ""
    quiet_begin: str = ""
    quiet_end: str = ""
    delays: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def again(cls, fields: Fields) -> "Form":
        """As it was entered, to be mended."""
        one = dict(fields)
        return cls(
            rows=_rows(fields),
            **{name: one.get(name, "") for name in (*_NUMBERS, "quiet_begin", "quiet_end")},
            delays=_delays(fields),
        )


def form_of(policy: Policy) -> Form:
    """A policy, with some rows to add to it."""
    rows = [_row(number, step) for number, step in enumerate(policy.steps)]
    rows += [Row(number=len(rows) + spare) for spare in range(SPARE_ROWS)]
    return Form(
        rows=rows,
        again_min=f"{policy.again_min:g}",
        snooze_most_min=f"{policy.snooze_most_min:g}",
        unanswered_h=f"{policy.unanswered_h:g}",
        quiet_begin=policy.quiet.begin if policy.quiet else "",
        quiet_end=policy.quiet.end if policy.quiet else "",
        delays={rule: f"{minutes:g}" for rule, minutes in policy.follower_delay_min.items()},
    )


def entered_policy(fields: Fields, before: Policy) -> Policy:
    """What was entered. Raises BadInput for what is no number; what is allowed is `check_policy`'s."""
    one = dict(fields)
    steps = tuple(_step(row) for row in _rows(fields) if row.who)
    quiet = None
    if one.get("quiet_begin") or one.get("quiet_end"):
        kept = before.quiet or QuietHours(begin="", end="")
        quiet = structs.replace(kept, begin=one.get("quiet_begin", ""), end=one.get("quiet_end", ""))
    return structs.replace(
        before,
        steps=steps,
        again_min=_number(one.get("again_min", ""), "again_min"),
        snooze_most_min=_number(one.get("snooze_most_min", ""), "snooze_most_min"),
        unanswered_h=_number(one.get("unanswered_h", ""), "unanswered_h"),
        quiet=quiet,
        follower_delay_min={rule: _number(text, rule) for rule, text in _delays(fields).items() if text},
    )


def _row(number: int, step: Step) -> Row:
    return Row(
        number=number,
        who=step.who,
        channel=step.channel,
        contact=step.contact,
        after=f"{step.after_min:g}",
        repeat=f"{step.repeat_min:g}",
        severities=step.severities,
        rules=step.rules,
    )


def _rows(fields: Fields) -> list[Row]:
    one = dict(fields)
    found = []
    for number in range(MOST_ROWS):
        who = one.get(f"{number}.who")
        if who is None:
            break
        found.append(
            Row(
                number=number,
                who=who,
                channel=one.get(f"{number}.channel", ""),
                contact=one.get(f"{number}.contact", ""),
                after=one.get(f"{number}.after", ""),
                repeat=one.get(f"{number}.repeat", ""),
                severities=tuple(text for name, text in fields if name == f"{number}.severity"),
                rules=tuple(text for name, text in fields if name == f"{number}.rule"),
            )
        )
    return found


def _step(row: Row) -> Step:
    unknown = [text for text in row.severities if text not in set(Severity)]
    if unknown:
        raise BadInput(f"policy, step {row.number + 1}: expected known severities", reason="policy")
    return Step(
        who=row.who,
        channel=row.channel,
        contact=row.contact,
        after_min=_number(row.after or "0", f"step {row.number + 1}, after_min"),
        repeat_min=_number(row.repeat or "0", f"step {row.number + 1}, repeat_min"),
        severities=tuple(Severity(text) for text in row.severities),
        rules=row.rules,
    )


def _delays(fields: Fields) -> dict[str, str]:
    return {name.removeprefix(_DELAY): text for name, text in fields if name.startswith(_DELAY)}


def _number(text: str, where: str) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise BadInput(f"policy, {where}: expected a number", reason="policy")
    return number
