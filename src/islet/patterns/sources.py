"""What patterns and advice rest on: each source once, in the words in which people read it.

A finding's source is one of these or several, joined by `both`. `docs/explanation/sources.md` says what of each was checked.
"""

from collections.abc import Callable
from typing import Final

from islet.model.translated import mark as _

_JOINT: Final = _("; ")

ADA_5: Final = _("ADA Standards of Care 2025, section 5 (health behaviors)")
ADA_6: Final = _("ADA Standards of Care 2025, section 6 (glycemic goals and hypoglycemia)")
ADA_7: Final = _("ADA Standards of Care 2025, section 7 (diabetes technology)")
ADA_9: Final = _("ADA Standards of Care 2025, section 9 (pharmacologic approaches)")
ADA_13: Final = _("ADA Standards of Care 2025, section 13 (older adults)")
ADA_15: Final = _("ADA Standards of Care 2025, section 15 (pregnancy)")
AACE: Final = _("AACE 2021, guideline on diabetes technology")
CHINA: Final = _("Chinese Diabetes Society 2017, guideline on continuous glucose monitoring")
CONSENSUS_2017: Final = "Danne 2017, doi:10.2337/dc17-1600"
CONSENSUS_2019: Final = "Battelino 2019, doi:10.2337/dci19-0028"
CONSENSUS_2023: Final = "Battelino 2023, doi:10.1016/S2213-8587(22)00319-9"
EXERCISE: Final = "EASD/ISPAD 2020, doi:10.1007/s00125-020-05263-9"
FOOD_ORDER: Final = "Shukla 2015, doi:10.2337/dc15-0429"
WALK: Final = "DiPietro 2013, doi:10.2337/dc13-0084"
BOLUS_TIME: Final = "Slattery 2018, doi:10.1111/dme.13525"
DAWN: Final = "Monnier 2013, doi:10.2337/dc12-2127"
LOW_INDEX: Final = "Kovatchev 1998, doi:10.2337/diacare.21.11.1870"
AREA: Final = "FAO 1998, Food and Nutrition Paper 66"
RESPONSE: Final = "Zeevi 2015, doi:10.1016/j.cell.2015.11.001"
WEIGHTS: Final = "Rubin 1981, doi:10.1214/aos/1176345338"
REGRESSION: Final = _("our regression within the person")
INSULIN: Final = _("exponential insulin model of Loop and oref0")
CLASSES: Final = _("curves of insulin classes from labels")
OURS: Final = _("our definition")
OUR_LIMIT: Final = _("limit: our choice")
OUR_CHANCES: Final = _("chances: our estimate")
DISPUTED: Final = _("the cause is disputed (Somogyi)")


def both(*sources: str) -> str:
    """Several sources as one text."""
    return _JOINT.join(sources)


def sources_told(source: str, translate: Callable[[str], str]) -> str:
    """A finding's source in the reader's language; names of papers stay as they are."""
    return translate(_JOINT).join(translate(one) for one in source.split(_JOINT))
