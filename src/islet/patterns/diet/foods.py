"""The foods of a person, as they wrote them: what a meal's text is made of."""

import re
from typing import Final

_PARTS: Final = re.compile(r"[\n;,，；、+]|\bwith\b|\band\b", re.IGNORECASE)
_UNITS: Final = "kg|g|ml|l|cups?|slices?|pieces?|oz|tbsp|tsp|毫升|克|个|碗|片|份|杯"
_AMOUNT: Final = re.compile(rf"[(（]?\s*\d+(?:[.,/]\d+)?\s*(?:(?:{_UNITS})(?![a-z]))?\s*[)）]?", re.IGNORECASE)
_SPACE: Final = re.compile(r"\s+")
_SHORTEST: Final = 2
_STARCH: Final = re.compile(
    r"rice|bread|noodle|bun|porridge|congee|pasta|pizza|potato|yam|corn|dumpling|wonton|cake|biscuit|grain|oat|pancake|pie|"
    r"sugar|sweet|juice|fruit|饭|面|粥|馒头|包子|饺|饼|薯|玉米|糖|果|粉",
    re.IGNORECASE,
)
_WITHOUT: Final = re.compile(
    r"vegetable|spinach|cabbage|lettuce|celery|cucumber|pepper|mushroom|fungus|cauliflower|broccoli|tofu|egg|fish|shrimp|"
    r"crab|chicken|duck|pork|beef|lamb|meat|rib|ham|tea|water|coffee|菜|豆腐|蛋|鱼|虾|鸡|鸭|肉|排骨|菇|瓜",
    re.IGNORECASE,
)
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


def has_carbohydrate(food: str) -> bool:
    """Whether a food may have enough carbohydrate to raise glucose itself; meat, eggs and vegetables without starch have not
    (melons are taken for vegetables), and are only the company of what does.

    >>> has_carbohydrate("shredded pork"), has_carbohydrate("pork wonton"), has_carbohydrate("mango")
    (False, True, True)
    """
    return _STARCH.search(food) is not None or _WITHOUT.search(food) is None
