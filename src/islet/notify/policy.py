"""Who is told of a patient's alerts, in which order, how often. Pure: a document that the caller keeps per patient."""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

from islet.errors import BadInput
from islet.model.alerts import Severity
from islet.notify.quiet import QuietHours, check_quiet

USER: Final = "user:"
INSTALLATION: Final = "installation"
"""The addresses in the settings, which belong to nobody in particular (a ward's chat)."""
WHO: Final = ("patient", "care_partner", "clinician", "operator", INSTALLATION)
"""Whom a step can name, beside `user:` and a user's name. Operators are the administrators."""

CHANNELS: Final = ("apprise", "console", "email", "ntfy", "telegram", "webhook", "webpush")
"""Whose names a step can hold; a step by another one would reach nobody."""
MOST_STEPS: Final = 50

SNOOZE_URGENT_MIN: Final = 30.0
"""No policy makes this longer: it is after how long an urgent low pages again that was confirmed and goes on."""
FIRST_URGENT_MIN: Final = 5.0
REPEAT_URGENT_MIN: Final = 15.0
_LONGEST_DELAY_MIN: Final = {"high": 360.0}  # Tidepool lets followers wait 2 h for lows and 6 h for highs
_DELAY_MIN: Final = 120.0


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some people, `after_min` minutes after the alert, again each `repeat_min` (0: once) until somebody acknowledges.

    `channel` "" is each channel they have, `contact` "" each contact on it. `rules` () is every rule of these
    severities.
    """

    who: str
    channel: str = ""
    contact: str = ""
    after_min: float = 0.0
    repeat_min: float = 0.0
    severities: tuple[Severity, ...] = (Severity.URGENT, Severity.WARNING)
    rules: tuple[str, ...] = ()

    def is_about(self, rule: str, severity: Severity) -> bool:
        """Whether the step tells of such alerts."""
        return severity in self.severities and (not self.rules or rule in self.rules)


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient's policy. There is no limit per day: a day with many lows is not the day to fall silent.

    `again_min`: an alert that was acknowledged and is still active starts over after this long, for
    `again_severities`. `follower_delay_min`: by rule, how much later the role care_partner is told; an urgent alert
    is never delayed. `unanswered_h`: after so long without an answer the alert is dropped, visibly.
    """

    steps: tuple[Step, ...]
    again_min: float = 30.0
    again_severities: tuple[Severity, ...] = (Severity.URGENT,)
    quiet: QuietHours | None = None
    snooze_most_min: float = 120.0
    follower_delay_min: Mapping[str, float] = {}
    unanswered_h: float = 12.0

    def delay_min(self, step: Step, rule: str, severity: Severity) -> float:
        """After how many minutes that step comes for an alert of that rule."""
        follows = step.who == "care_partner" and severity is not Severity.URGENT
        return step.after_min + (self.follower_delay_min.get(rule, 0.0) if follows else 0.0)

    def snooze_min(self, severity: Severity) -> float:
        """The longest snooze of an alert of that severity."""
        return min(self.snooze_most_min, SNOOZE_URGENT_MIN) if severity is Severity.URGENT else self.snooze_most_min

    def is_about(self, rule: str, severity: Severity) -> bool:
        """Whether anybody is told of such alerts."""
        return any(step.is_about(rule, severity) for step in self.steps)


_URGENT: Final = (Severity.URGENT,)
_LESSER: Final = (Severity.WARNING,)
DEFAULT: Final = Policy(
    steps=(
        # Dexcom repeats its urgent low each 5 minutes until it is confirmed (G5 user guide, p. 208).
        Step(who="patient", repeat_min=5.0, severities=_URGENT),
        Step(who="patient", severities=(Severity.WARNING, Severity.TECHNICAL)),
        Step(who="care_partner", repeat_min=5.0, severities=_URGENT),
        Step(who="care_partner", severities=(Severity.WARNING, Severity.TECHNICAL)),
        # Those technical rules that are meant for them: a device that is wrong.
        Step(who="clinician", severities=(Severity.TECHNICAL,)),
        Step(who="operator", severities=(Severity.TECHNICAL,)),
        Step(who=INSTALLATION, repeat_min=5.0, severities=_URGENT),
        Step(who=INSTALLATION, severities=_LESSER),
    ),
    # Our choice: the patient has this long to act before others are called; 0 and up to 2 h are in use elsewhere.
    follower_delay_min={"low": 15.0, "high": 60.0},
)
"""For patients without a policy of their own, where the platform knows contacts."""


def once(severities: Collection[Severity]) -> Policy:
    """The addresses in the settings are told at once and never again: what an installation without contacts has."""
    step = Step(who=INSTALLATION, severities=tuple(s for s in Severity if s in severities))
    return Policy(steps=(step,), again_severities=())


def check_policy(policy: Policy, rules: Collection[str] | None = None) -> None:
    """Raises BadInput (reason `policy`), which says what is allowed, unless the policy is one that keeps people safe.

    `rules`: the names of the rules there are; a step for a rule that does not exist would never page.
    """
    if len(policy.steps) > MOST_STEPS:
        raise _bad(f"steps: expected at most {MOST_STEPS}")
    for number, step in enumerate(policy.steps, 1):
        _check_step(step, f"step {number}", rules)
    if not any(_wakes(step) for step in policy.steps):
        raise _bad(
            f"steps: expected one that tells of every urgent alert within {FIRST_URGENT_MIN:g} min and repeats at "
            f"least every {REPEAT_URGENT_MIN:g} min"
        )
    _within(policy.again_min, 5, 240, "again_min")
    if Severity.URGENT not in policy.again_severities:
        raise _bad("again_severities: 'urgent' cannot be left out")
    _within(policy.snooze_most_min, 0, 120, "snooze_most_min")
    _within(policy.unanswered_h, 1, 24, "unanswered_h")
    for rule, minutes in policy.follower_delay_min.items():
        _check_rule(rule, rules, "follower_delay_min")
        _within(minutes, 0, _LONGEST_DELAY_MIN.get(rule, _DELAY_MIN), f"follower_delay_min of {rule}")
    if policy.quiet is not None:
        check_quiet(policy.quiet)


def _check_step(step: Step, where: str, rules: Collection[str] | None) -> None:
    if step.who not in WHO and not (step.who.startswith(USER) and len(step.who) > len(USER)):
        raise _bad(f"{where}, who: expected one of {', '.join(WHO)}, or user:NAME")
    if step.channel and step.channel not in CHANNELS:
        raise _bad(f"{where}, channel: expected one of {', '.join(CHANNELS)}, or none for all")
    if not step.severities:
        raise _bad(f"{where}, severities: expected at least one of {', '.join(Severity)}")
    _within(step.after_min, 0, 60 if Severity.URGENT in step.severities else 360, f"{where}, after_min")
    if step.repeat_min:
        _within(step.repeat_min, 5, 240, f"{where}, repeat_min")
    for rule in step.rules:
        _check_rule(rule, rules, where)


def _wakes(step: Step) -> bool:
    everything = Severity.URGENT in step.severities and not step.rules and not step.contact
    return everything and step.after_min <= FIRST_URGENT_MIN and 0 < step.repeat_min <= REPEAT_URGENT_MIN


def _check_rule(rule: str, rules: Collection[str] | None, where: str) -> None:
    if rules is not None and rule not in rules:
        raise _bad(f"{where}: there is no such rule; `islet rules list` shows those there are")


def _within(value: float, least: float, most: float, where: str) -> None:
    if not least <= value <= most:  # also refuses NaN
        raise _bad(f"{where}: expected {least:g} to {most:g}")


def _bad(message: str) -> BadInput:
    return BadInput(f"policy, {message}", reason="policy")
