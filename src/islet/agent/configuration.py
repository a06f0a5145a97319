"""How a device is to work, as its twin's desired properties or commands say, and what it reports of that.

    {"intervalMin": 5, "thresholds": {"lowMgDl": 70, "highMgDl": 250},
     "prompts": {"times": ["08:00", "12:30"], "timeZone": "Europe/Vienna", "answerMin": 30}}

A part that is wrong is refused with its reason and the device goes on as before; the other parts are applied.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from islet.agent.schedule import Prompts, check_prompts
from islet.decode.iothub_twins import Json, JsonObject
from islet.errors import BadInput

MOST_INTERVAL_MIN: Final = 24 * 60.0


class Thresholds(Struct, frozen=True, kw_only=True, rename="camel"):
    """Beyond these, in mg/dL, the device itself warns, also when it is offline; None: it does not."""

    low_mg_dl: float | None = None
    high_mg_dl: float | None = None


class Configuration(Struct, frozen=True, kw_only=True, rename="camel"):
    """`interval_min`: how often the sensor measures."""

    interval_min: float = 5.0
    thresholds: Thresholds = Thresholds()
    prompts: Prompts = Prompts()


class Applied(Struct, frozen=True, kw_only=True):
    """A configuration, the desired properties that were last applied to it and their version, and what of them was
    refused, by part."""

    configuration: Configuration = Configuration()
    desired: dict[str, Any] = {}
    version: int = 0
    refused: dict[str, str] = {}


def applied(before: Applied, desired: Mapping[str, Json]) -> Applied:
    """What holds after the desired properties of a whole twin; a part that was in them and is no more is as usual
    again. Of a version that was applied already nothing is changed, so that a command since then stays."""
    version = desired.get("$version")
    if not isinstance(version, int) or version == before.version:
        return before
    configuration, refused = before.configuration, dict[str, str]()
    for name in _PARTS:
        if name not in desired and name not in before.desired:
            continue
        if desired.get(name) == before.desired.get(name) and name not in before.refused:
            continue
        try:
            configuration = with_part(configuration, name, desired.get(name))
        except BadInput as error:
            refused[name] = str(error)
    kept = {name: desired[name] for name in _PARTS if name in desired}
    return Applied(configuration=configuration, desired=kept, version=version, refused=refused)


def with_part(configuration: Configuration, name: str, value: Json) -> Configuration:
    """The configuration with another part; None: as usual. Raises BadInput."""
    field, type_, check = _PARTS[name]
    if value is None:
        return structs.replace(configuration, **{field: getattr(Configuration(), field)})
    try:
        part = msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise BadInput(f"{name}: {error}", reason="configuration") from None
    check(part)
    return structs.replace(configuration, **{field: part})


def reported(now: Applied) -> JsonObject:
    """What the twin's reported properties say of it; null removes what is refused no more."""
    said: JsonObject = msgspec.to_builtins(now.configuration)
    refused: JsonObject = {name: now.refused.get(name) for name in _PARTS}
    return {**said, "configuration": {"version": now.version, "refused": refused}}


def _check_interval(minutes: float) -> None:
    if not 0.1 <= minutes <= MOST_INTERVAL_MIN:
        raise BadInput(f"intervalMin: expected minutes from 0.1 to {MOST_INTERVAL_MIN:g}", reason="configuration")


def _check_thresholds(thresholds: Thresholds) -> None:
    low, high = thresholds.low_mg_dl, thresholds.high_mg_dl
    known = [one for one in (low, high) if one is not None]
    if not all(20 <= one <= 600 for one in known) or (low is not None and high is not None and low >= high):
        raise BadInput("thresholds: expected lowMgDl below highMgDl, both from 20 to 600", reason="configuration")


_PARTS: Final[dict[str, tuple[str, Any, Callable[[Any], None]]]] = {
    "intervalMin": ("interval_min", float, _check_interval),
    "thresholds": ("thresholds", Thresholds, _check_thresholds),
    "prompts": ("prompts", Prompts, check_prompts),
}
