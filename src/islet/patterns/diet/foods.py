"""The foods of a person, as they wrote them: what a meal's text is made of."""

import re
from typing import Final

_PARTS: Final = re.compile(r"[\n;,，；、+]|\bwith\b|\band\b", re.IGNORECASE)
_UNITS: Final = "kg|g|ml|l|cups?|slices?|pieces?|oz|tbsp|tsp|毫升|克|个|碗|片|份|杯"
_AMOUNT: Final = re.compile(rf"[(（]?\s*\d+(?:[.,/]\d+)?\s*(?:(?:{_UNITS})(?![a-z]))?\s*[)）]?", re.IGNORECASE)
_SPACE: Final = re.compile(r"\s+")
_SHORTEST: Final = 2
_ALCOHOL: Final = re.compile(r"beer|wine|liquor|whisk|vodka|spirits|alcohol|drink with|酒", re.IGNORECASE)


def foods_in(text: str) -> tuple[str, ...]:
    """The foods that a text names, in small letters, without amounts, each once.

    >>> foods_in("Egg 60 g\\nCoarse grain steamed bread 150 g\\negg")
    ('egg', 'coarse grain steamed bread')
    >>> foods_in("米饭 100 克，青菜")
    ('米饭', '青菜')
    """
    names = (_SPACE.sub(" ", _AMOUNT.sub(" ", part)).strip(" .:·-()（）").lower() for part in _PARTS.split(text))
    return tuple(dict.fromkeys(name for name in names if len(name) >= _SHORTEST))


def has_alcohol(food: str) -> bool:
    """Whether a food is a drink that lowers glucose hours later, and so is none to recommend.

    >>> has_alcohol("rice wine"), has_alcohol("rice")
    (True, False)
    """
    return _ALCOHOL.search(food) is not None
