"""Which class a drug belongs to, by what people, charts and apps call it (English and Chinese)."""

import re
from typing import Final

_DRUGS: Final[tuple[tuple[str, str], ...]] = (
    (r"metformin|二甲双胍|格华止", "metformin"),
    (r"acarbose|voglibose|miglitol|阿卡波糖|伏格列波糖|米格列醇", "alpha_glucosidase_inhibitor"),
    (r"repaglinide|nateglinide|列奈", "glinide"),
    (
        r"gliclazide|glimepiride|gliquidone|glipizide|glibenclamide|glyburide|格列(齐特|美脲|喹酮|吡嗪|本脲)",
        "sulfonylurea",
    ),
    (r"gliptin|列汀", "dpp_4_inhibitor"),
    (r"gliflozin|列净", "sglt_2_inhibitor"),
    (r"glutide|exenatide|lixisenatide|tirzepatide|鲁肽|那肽", "glp_1_agonist"),
    (r"glitazone|列酮", "thiazolidinedione"),
)
_DRUG_CLASSES: Final = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _DRUGS)


def drug_class(name: str) -> str | None:
    """The class of a drug, None where it is not known.

    >>> drug_class("acarbose"), drug_class("阿卡波糖片"), drug_class("aspirin")
    ('alpha_glucosidase_inhibitor', 'alpha_glucosidase_inhibitor', None)
    """
    return next((kind for pattern, kind in _DRUG_CLASSES if pattern.search(name)), None)
