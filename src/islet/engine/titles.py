"""What people call alerts that no rule's file describes: those of followers and jobs."""

from collections.abc import Mapping
from typing import Final

WITHOUT_FILE: Final[Mapping[str, Mapping[str, str]]] = {
    "device_clock": {"en": "Device clock is wrong", "zh-CN": "设备时钟错误"},
    "pattern_change": {"en": "Days have changed", "zh-CN": "日血糖发生变化"},
}
"""By the name that stands in the alert, then by language; every one has English."""


def titles_in(language: str) -> dict[str, str]:
    """All of them in a language, or in English where there is no other.

    >>> titles_in("zh-CN")["device_clock"], titles_in("fr")["device_clock"]
    ('设备时钟错误', 'Device clock is wrong')
    """
    return {name: titles.get(language, titles["en"]) for name, titles in WITHOUT_FILE.items()}
