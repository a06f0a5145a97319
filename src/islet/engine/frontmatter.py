"""A rule's file: its front matter, in TOML in a comment, and one SELECT.

/*
name = "low"
title = "Low glucose"
severity = "warning"
audience = ["patient", "followers"]
switch_off = "clinician"
clear = "glucose_mg_dl >= low_alarm_mg_dl + 5"
worsens = "urgent_low"
sources = ["..."]

[parameters.low_alarm_mg_dl]
default = 70
min = 60
max = 120
unit = "mg/dL"
*/
SELECT patient, device, ts FROM readings JOIN patients USING (patient) WHERE glucose_mg_dl < low_alarm_mg_dl
"""

import re
import tomllib
from collections.abc import Iterable
from decimal import Decimal
from math import isfinite
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from islet.engine.tables import HISTORY_COLUMNS, PATIENTS, TABLES
from islet.errors import RuleRefused
from islet.model.alerts import Severity
from islet.model.time import DAY_US, HOUR_US, MINUTE_US

_UNITS: Final = {"min": MINUTE_US, "h": HOUR_US, "day": DAY_US, "days": DAY_US}

_EXPECTED: Final = {
    "name": "a-z, 0-9 and _, a letter first, at most 41",
    "severity": ", ".join(Severity),
    "enabled": "all, nobody, or tags: and tags with commas between",
    "audience": "a list of patient, followers, clinician, operator",
    "switch_off": "nobody, administrator, clinician or patient",
    "sustained": 'a number and min, h or days, as "15 min"',
    "every": 'a number of days, as "1 day"',
}

Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,40}$")]
Duration = Annotated[str, Meta(pattern="^[1-9][0-9]{0,3} (min|h|day|days)$")]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Sentence = Annotated[str, Meta(max_length=300)]
Language = Annotated[str, Meta(pattern="^[a-z]{2}(-[A-Z]{2})?$")]
Audience = Literal["patient", "followers", "clinician", "operator"]
SwitchOff = Literal["nobody", "administrator", "clinician", "patient"]


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of a rule that can be set for a deployment, a group or a patient, from `min` to `max`.

    `decimals`: how many the number may have. `unit`: as people write it; empty for a plain number. `label`: what
    people call it; `labels`: in other languages.
    """

    default: float
    min: float
    max: float
    unit: str = ""
    decimals: Annotated[int, Meta(ge=0, le=3)] = 1
    label: Title | Literal[""] = ""
    labels: dict[Language, Title] = {}

    def integer(self, value: float) -> int:
        """The value in fixed point. Raises ValueError for one with too many decimals, or out of range."""
        if not isfinite(value):
            raise ValueError(f"expected a finite number; got {value:g}")
        exact = Decimal(str(value)).scaleb(self.decimals)
        if exact != exact.to_integral_value():
            raise ValueError(f"expected at most {self.decimals} decimals; got {value:g}")
        if not self.min <= value <= self.max:
            raise ValueError(f"expected {self.min:g} to {self.max:g} {self.unit}".rstrip() + f"; got {value:g}")
        return int(exact)


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as written.

    `description`: one sentence for people; `titles` and `descriptions`: in other languages. `enabled`: whom it looks at: "all" patients, "tags:a,b" for those with one of these tags, or "nobody" until it is
    switched on. `audience`: who is meant to be told. `switch_off`: who may switch it off (with all above them).
    `clear`: when a running episode ends; empty: as soon as the condition is false. `sustained`: how long an episode
    has to last before anybody is told. `worsens`: the rule that takes over when it gets worse. `every`: a rule over
    the whole history, asked that often, in whole days.
    """

    name: Name
    title: Title
    description: Sentence = ""
    titles: dict[Language, Title] = {}
    descriptions: dict[Language, Sentence] = {}
    severity: Severity
    enabled: Annotated[str, Meta(pattern="^(all|nobody|tags:[a-z0-9_,-]+)$")] = "all"
    audience: tuple[Audience, ...] = ("patient",)
    switch_off: SwitchOff = "clinician"
    clear: str = ""
    sustained: Duration | Literal[""] = ""
    worsens: Name | Literal[""] = ""
    every: Annotated[str, Meta(pattern="^([1-9][0-9]{0,2} days?)?$")] = ""
    sources: tuple[str, ...] = ()
    parameters: dict[Name, Parameter] = {}
    sql: str = ""

    def applies_to(self, tags: Iterable[str]) -> bool:
        """Whether the rule looks at a patient with these tags, as long as nobody has switched it on or off."""
        if not self.enabled.startswith("tags:"):
            return self.enabled == "all"
        return not set(self.enabled.removeprefix("tags:").split(",")).isdisjoint(tags)

    @property
    def sustained_us(self) -> int:
        return duration_us(self.sustained)

    @property
    def every_us(self) -> int:
        """How often a rule over the history is asked; 0 for the others."""
        return duration_us(self.every)


def duration_us(text: str) -> int:
    """Microseconds of a duration as "10 min", "2 h" or "1 day"; 0 for none.

    >>> duration_us("10 min") // 60_000_000
    10
    """
    number, _, unit = text.partition(" ")
    return int(number) * _UNITS[unit] if text else 0


def read_rule(text: str) -> Rule:
    """The rule in a file's text. Raises RuleRefused."""
    text = text.removeprefix("\ufeff")  # some editors put it before what they write
    comment = re.match(r"/\*(.*?)\*/", text, re.DOTALL)
    if comment is None:
        raise RuleRefused("a rule begins with /* and its front matter in TOML", line=1)
    try:
        rule = msgspec.convert({**tomllib.loads(comment[1]), "sql": text}, Rule)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise RuleRefused(f"front matter is not TOML: {error}", line=int(at[1]) if at else 1) from None
    except msgspec.ValidationError as error:
        at = re.search(r"\$\.([a-z_]+)|unknown field `([^`]+)`", str(error))
        key = (at[1] or at[2]) if at else ""
        allowed = f"; expected {_EXPECTED[key]}" if key in _EXPECTED else ""
        raise RuleRefused(f"front matter: {error}{allowed}", line=line_of(text, re.escape(key)) if at else 1) from None
    _check_words(rule, text)
    for name, parameter in rule.parameters.items():
        _check_parameter(name, parameter, line_of(text, rf"\[parameters\.{name}\]"))
    if rule.every and (rule.clear or rule.sustained):
        line = line_of(text, "clear" if rule.clear else "sustained")
        raise RuleRefused("a rule with `every` is asked anew each time; it takes no clear and no sustained", line=line)
    return rule


def line_of(text: str, key: str) -> int:
    """The line on which a key of the front matter stands; 1 where it does not."""
    wanted = re.compile(rf"\s*{key}" if key.startswith(r"\[") else rf"\s*\[?{key}\s*[=.\]]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if wanted.match(line)), 1)


def _check_words(rule: Rule, text: str) -> None:
    """What people read stands in one line of a message, a mail's subject, a terminal."""
    words = [("title", rule.title), ("description", rule.description)]
    words += [("titles", word) for word in rule.titles.values()]
    words += [("descriptions", word) for word in rule.descriptions.values()]
    for parameter in rule.parameters.values():
        words += [("labels", word) for word in parameter.labels.values()]
        words += [("label", parameter.label), ("unit", parameter.unit)]
    for key, word in words:
        if not word.isprintable() or (word and not word.strip()):
            reason = f"{key}: expected printable text in one line, without control characters"
            raise RuleRefused(reason, line=line_of(text, key))


def _check_parameter(name: str, parameter: Parameter, line: int) -> None:
    if name in PATIENTS or name in HISTORY_COLUMNS or any(name in table.columns for table in TABLES.values()):
        raise RuleRefused(f"parameter {name}: a table has a column of that name", line=line)
    for word in ("min", "max", "default"):
        try:
            parameter.integer(getattr(parameter, word))
        except ValueError as error:
            raise RuleRefused(f"parameter {name}, {word}: {error}", line=line) from None
    if max(abs(parameter.min), abs(parameter.max)) * 10**parameter.decimals > 2**31 - 1:
        raise RuleRefused(f"parameter {name}: min and max are too large", line=line)
