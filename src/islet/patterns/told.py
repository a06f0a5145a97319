"""Findings and advice as a person reads them: their language, their unit."""

from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import Final

from msgspec import Struct

from islet.model.translated import mark as _
from islet.model.units import MG_DL_PER_MMOL_L
from islet.patterns.advice_texts import ADVICE, DISCUSS, NO_FOODS
from islet.patterns.advice_texts import ONCE as ADVICE_ONCE
from islet.patterns.findings import Advice, Figure, Finding
from islet.patterns.label_texts import CONFIDENCE, SUBJECTS, UNITS
from islet.patterns.pattern_texts import CONFOUNDERS, NOT_ENOUGH, ONCE, PATTERNS
from islet.patterns.sources import sources_told

Translate = Callable[[str], str]
"""A catalogue: the sentence in the reader's language (`gettext`); an unknown sentence comes back as it is."""
UNKNOWN: Final = "–"
_PERCENT: Final = "\u00a0%"
_CHANGES: Final = ("change", "difference", "impact", "against")
"""Figures with one of these in their names are changes, and show their sign."""


class Told(Struct, frozen=True, kw_only=True):
    """Title, sentence, how sure, what it rests on, and what else may be behind it."""

    title: str
    sentence: str
    confidence: str
    source: str
    caveats: tuple[str, ...] = ()


def told(finding: Finding, translate: Translate, unit: str = "mg/dL") -> Told:
    """A finding in words; `unit` is of glucose, mg/dL or mmol/L."""
    text = PATTERNS[finding.pattern]
    fields = _fields(finding.figures, translate, unit)
    fields |= {"n": str(finding.n), "of": str(finding.of), "subject": subject_told(finding.subject, translate)}
    seen = _once(ONCE.get(finding.pattern), text.sentence, fields)
    sentence = seen if finding.figures or finding.confidence != "not_enough" else NOT_ENOUGH
    return Told(
        title=_filled(translate(text.title), fields),
        sentence=_filled(translate(sentence), fields),
        confidence=translate(CONFIDENCE[finding.confidence]),
        source=sources_told(finding.source, translate),
        caveats=tuple(translate(CONFOUNDERS[name]) for name in finding.confounders),
    )


def advice_told(advice: Advice, translate: Translate, unit: str = "mg/dL") -> Told:
    """An advice in words; the caveat, where there is one, is to ask a clinician first."""
    fields = _fields(advice.figures, translate, unit)
    foods = translate(_(", ")).join(translate(food) for food in advice.foods) or translate(NO_FOODS)
    fields |= {"subject": subject_told(advice.subject, translate), "foods": foods}
    sentence = _once(ADVICE_ONCE.get(advice.rule), ADVICE[advice.rule], fields)
    return Told(
        title=_filled(translate(PATTERNS[advice.findings[0]].title), fields),
        sentence=_filled(translate(sentence), fields),
        confidence=translate(CONFIDENCE[advice.confidence]),
        source=sources_told(advice.source, translate),
        caveats=(translate(DISCUSS),) if advice.clinician else (),
    )


def _once(once: str | None, several: str, fields: Mapping[str, str]) -> str:
    """The sentence for one, where there is one, and it was one (of one, where it says of how many)."""
    one = fields.get("n") == "1" and ("{of}" not in several or fields.get("of") == "1")
    return once if once is not None and one else several


def subject_told(subject: str, translate: Translate) -> str:
    """A time of day, a class of drugs or a rule by its word; foods and what people wrote stay as they are."""
    return translate(SUBJECTS[subject]) if subject in SUBJECTS else subject


def amount(value: float, unit: str, glucose_unit: str, translate: Translate, *, signed: bool = False) -> str:
    """A number with its unit as people read it; glucose in their own.

    >>> amount(62.4, "mg/dL", "mmol/L", str), amount(-18.0, "mg/dL", "mg/dL", str, signed=True)
    ('3.5 mmol/L', '−18 mg/dL')
    """
    decimals = 0 if unit in ("mg/dL", "min") else 1
    if unit.startswith("mg/dL") and glucose_unit == "mmol/L":
        value, unit, decimals = value / MG_DL_PER_MMOL_L, unit.replace("mg/dL", "mmol/L"), 1
    if unit == "days" and value == 1:
        unit, decimals = "day", 0
    if value == int(value) and unit in ("", "days", "%", "g"):
        decimals = 0
    text = (f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}").replace("-", "−")
    joined = "" if unit == "" else "\u00a0" if unit == "%" else " "
    return f"{text}{joined}{translate(UNITS.get(unit, unit)) if unit else ''}"


def _fields(figures: Iterable[Figure], translate: Translate, unit: str) -> dict[str, str]:
    """Each figure by its name, and its interval by that name and "_interval"."""
    fields: dict[str, str] = {}
    for one in figures:
        signed = any(word in one.name for word in _CHANGES)
        fields[one.name] = amount(one.value, one.unit, unit, translate, signed=signed)
        if one.low is not None and one.high is not None:
            low, high = (amount(value, one.unit, unit, translate, signed=signed) for value in (one.low, one.high))
            fields[f"{one.name}_interval"] = f"{low.partition(' ')[0].rstrip(_PERCENT)} … {high}"
    return fields


def _filled(sentence: str, fields: dict[str, str]) -> str:
    """The sentence with its fields; a dash for those that are not known."""
    names = {name for _, name, _, _ in Formatter().parse(sentence) if name}
    filled = sentence.format_map({name: fields.get(name, UNKNOWN) for name in names})
    return filled.replace(f" ({UNKNOWN})", "").replace(f"（{UNKNOWN}）", "")  # an interval that there is not
