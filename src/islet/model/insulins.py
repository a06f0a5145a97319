"""Which class an insulin belongs to, by what people, charts and apps call it (English and Chinese)."""

import re
from typing import Final, Literal

from islet.model.events import Insulin

InsulinClass = Literal["ultra_rapid", "rapid", "regular", "nph", "detemir", "glargine", "degludec"]
Parts = tuple[tuple[InsulinClass, float], ...]
"""What an insulin is made of, with the share of each part."""
MEALTIME: Final[frozenset[InsulinClass]] = frozenset({"ultra_rapid", "rapid", "regular"})

_PREMIX: Final = re.compile(r"(\d\d)\s*/\s*(\d\d)|\b[mM]?(\d\d)\s*[rR]?\b|mix\s*(\d\d)", re.IGNORECASE)
_ANALOGUE: Final = re.compile(r"aspart|lispro|novo(rapid|log|mix)|humalog|门冬|赖脯|优泌乐|诺和锐", re.IGNORECASE)
_CLASSES: Final[tuple[tuple[str, InsulinClass], ...]] = (
    (r"fiasp|lyumjev|faster|速效诺和锐", "ultra_rapid"),
    (r"degludec|tresiba|德谷|诺和达", "degludec"),
    (r"glargine|glarigine|lantus|toujeo|basaglar|甘精|来得时|长秀霖", "glargine"),
    (r"detemir|levemir|地特|诺和平", "detemir"),
    (r"\bnph\b|isophane|(novolin|humulin|gansulin|scilin)\s*n\b|精蛋白|中效", "nph"),
    (
        r"aspart|lispro|glulisine|novorapid|novolog|humalog|apidra|admelog|csii|pump|门冬|赖脯|谷赖|诺和锐|优泌乐",
        "rapid",
    ),
    (r"regular|(novolin|humulin|gansulin|scilin)\s*r\b|诺和灵\s*r|优泌林\s*r|短效|常规", "regular"),
)
_COMPILED: Final = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _CLASSES)


def insulin_parts(insulin: Insulin) -> Parts:
    """What a dose is made of; empty where neither name nor kind tells. A bolus without a known name is a rapid analogue.

    >>> from islet.model.events import Insulin
    >>> from islet.model.time import EPOCH
    >>> insulin_parts(Insulin(time=EPOCH, dose_u=10, name="insulin aspart 70/30"))
    (('rapid', 0.3), ('nph', 0.7))
    >>> insulin_parts(Insulin(time=EPOCH, dose_u=10, name="Novolin R"))
    (('regular', 1.0),)
    """
    name = insulin.name
    fast_share = _fast_share(name)
    if fast_share is not None:
        fast: InsulinClass = "rapid" if _ANALOGUE.search(name) else "regular"
        return (fast, fast_share), ("nph", round(1.0 - fast_share, 2))
    known = next((kind for pattern, kind in _COMPILED if pattern.search(name)), None)
    if known is not None:
        return ((known, 1.0),)
    return (("rapid", 1.0),) if insulin.kind in ("bolus", "correction") else ()


def _fast_share(name: str) -> float | None:
    """The share of the fast part of a premixed insulin, None for any other. "70/30" names the slow part first (30 is
    fast), "30R", "M30" and "Mix25" the fast one."""
    match = _PREMIX.search(name)
    if match is None:
        return None
    slow, fast, *single = match.groups()
    percent = int(min(slow, fast)) if slow else int(next(one for one in single if one))
    return percent / 100.0 if 10 <= percent <= 75 else None


def is_mealtime(insulin: Insulin) -> bool:
    """Whether all of it acts within hours: rapid analogues and regular insulin."""
    parts = insulin_parts(insulin)
    return bool(parts) and all(kind in MEALTIME for kind, _ in parts)


def mealtime_u(insulin: Insulin) -> float:
    """How much of a dose acts within hours: rapid analogues, regular insulin, that part of premixed ones. Not a pump's
    basal rate; a dose of no known class counts whole, unless it is said to be basal.

    >>> from islet.model.time import EPOCH
    >>> mealtime_u(Insulin(time=EPOCH, dose_u=10, name="Novolin 30R")), mealtime_u(Insulin(time=EPOCH, dose_u=10))
    (3.0, 10.0)
    """
    if insulin.kind == "basal":
        return 0.0
    parts = insulin_parts(insulin)
    return insulin.dose_u * (sum(share for kind, share in parts if kind in MEALTIME) if parts else 1.0)
