"""Words for wheels, confidence, severity, units and subjects, in English; every text is in the catalogues."""

from typing import Final

from islet.model.translated import mark as _
from islet.patterns.findings import Confidence, Diabetes, Severity, Wheel

WHEELS: Final[dict[Wheel, str]] = {
    Wheel.GLUCOSE: _("Glucose itself"),
    Wheel.INSULIN: _("Insulin and medicines"),
    Wheel.DIET: _("Food"),
    Wheel.EXERCISE: _("Exercise"),
    Wheel.MOTIVATION: _("Habits and progress"),
    Wheel.IMPACT: _("What went together with glucose"),
}
CONFIDENCE: Final[dict[Confidence, str]] = {
    "high": _("high confidence"),
    "moderate": _("moderate confidence"),
    "low": _("low confidence"),
    "not_enough": _("not enough data"),
}
SEVERITY: Final[dict[Severity, str]] = {
    "serious": _("serious"),
    "moderate": _("moderate"),
    "mild": _("mild"),
    "none": _("no concern"),
}
UNITS: Final[dict[str, str]] = {
    "min": _("min"),
    "h": _("h"),
    "days": _("days"),
    "day": _("day"),
    "points": _("points"),
    "U": _("U"),
    "g": _("g"),
}
SUBJECTS: Final[dict[str, str]] = {
    "": _("any kind"),
    "breakfast": _("breakfast"),
    "lunch": _("lunch"),
    "dinner": _("dinner"),
    "snack": _("snacks"),
    "metformin": _("metformin"),
    "alpha_glucosidase_inhibitor": _("alpha-glucosidase inhibitor"),
    "glinide": _("glinide"),
    "sulfonylurea": _("sulfonylurea"),
    "dpp_4_inhibitor": _("DPP-4 inhibitor"),
    "sglt_2_inhibitor": _("SGLT-2 inhibitor"),
    "glp_1_agonist": _("GLP-1 agonist"),
    "thiazolidinedione": _("glitazone"),
}
DIABETES_NAMES: Final[dict[Diabetes, str]] = {
    "unknown": _("Not said"),
    "type_1": _("Type 1"),
    "type_2": _("Type 2"),
    "gestational": _("Gestational"),
}
CUISINE_NAMES: Final[dict[str, str]] = {"": _("Not said"), "chinese": _("Chinese"), "western": _("Western")}
