"""Foods to name in an advice: the person's own, those that they like first, none that they must not or do not want to eat."""

from collections.abc import Sequence
from typing import Final

from islet.model.translated import mark as _
from islet.patterns.diet.foods import has_alcohol
from islet.patterns.findings import Finding, Preferences

_MOST: Final = 3


CUISINES: Final[dict[str, tuple[str, ...]]] = {
    "": (_("vegetables"), _("beans"), _("eggs"), _("fish"), _("whole grains")),
    "chinese": (_("leafy vegetables"), _("tofu"), _("steamed fish"), _("buckwheat noodles"), _("eggs")),
    "western": (_("salad"), _("lentils"), _("plain yoghurt"), _("grilled chicken"), _("oats")),
}
"""What to name where none of the person's own foods is known to raise glucose little: foods of low glycaemic load."""

_ALLERGENS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("milk", "dairy", "lactose", "牛奶", "乳"): ("milk", "yoghurt", "yogurt", "cheese", "butter", "cream", "奶", "乳"),
    ("egg", "蛋"): ("egg", "omelet", "蛋"),
    ("wheat", "gluten", "小麦", "麸质"): (
        "wheat",
        "bread",
        "noodle",
        "pasta",
        "grain",
        "bun",
        "dumpling",
        "cake",
        "biscuit",
        "oat",
        "面",
        "馒头",
        "饺",
    ),
    ("soy", "大豆", "黄豆"): ("soy", "tofu", "bean", "豆"),
    ("nut", "peanut", "坚果", "花生"): ("nut", "almond", "cashew", "pecan", "坚果", "花生", "杏仁", "核桃"),
    ("fish", "鱼"): ("fish", "salmon", "tuna", "cod", "鱼"),
    ("shellfish", "seafood", "虾", "海鲜"): (
        "shrimp",
        "prawn",
        "crab",
        "lobster",
        "clam",
        "oyster",
        "shellfish",
        "seafood",
        "虾",
        "蟹",
        "贝",
        "海鲜",
    ),
}
"""What people call an allergy, and words of the foods that have it."""


def foods_to_choose(findings: Sequence[Finding], preferences: Preferences) -> tuple[str, ...]:
    """At most three foods whose meals raised glucose least; of the cuisine where the person has none of their own."""
    own = [one.subject for one in findings if one.pattern == "food_small"]
    allowed = [food for food in own if is_allowed(food, preferences)]
    liked = [food for food in allowed if _named(food, preferences.likes)]
    chosen = tuple(dict.fromkeys([*liked, *allowed]))[:_MOST]
    if chosen:
        return chosen
    return tuple(food for food in CUISINES[preferences.cuisine] if is_allowed(food, preferences))[:_MOST]


def is_allowed(food: str, preferences: Preferences) -> bool:
    """Whether nothing that the person wrote speaks against a food; alcohol is never named.

    >>> is_allowed("plain yoghurt", Preferences(allergies=("Milk",)))
    False
    """
    if has_alcohol(food) or _named(food, (*preferences.dislikes, *preferences.allergies)):
        return False
    return not any(_named(food, words) for allergy in preferences.allergies for words in _words(allergy))


def _words(allergy: str) -> list[tuple[str, ...]]:
    """The words of foods that have what an allergy is called."""
    told = allergy.lower()
    return [words for names, words in _ALLERGENS.items() if any(name in told or told in name for name in names if told)]


def _named(food: str, words: Sequence[str]) -> bool:
    """Whether one of the words is in a food's name."""
    return any(word.strip() and word.strip().lower() in food.lower() for word in words)
