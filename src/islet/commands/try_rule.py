"""What a rule would have found in a patient's last days: a table, counts by day, and pictures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

import numpy as np

from islet.clock import wall_us
from islet.commands.as_of_now import store_as_of_now
from islet.commands.picture import Scene, Stretch, drawn, svg
from islet.engine.in_force import Rules
from islet.engine.lookback import Past, past
from islet.engine.quantities import GLUCOSE
from islet.engine.references import references
from islet.engine.retrospect import Found, episodes
from islet.engine.rules import Plan, Rule, StreamPlan, plan
from islet.errors import BadInput
from islet.model.batch import int64_column
from islet.model.people import Patient
from islet.model.time import DAY_US, MINUTE_US, from_us
from islet.model.time_zones import zone_or_utc
from islet.settings import Settings

_RUN_IN_US: Final = DAY_US
"""Looked at before the days that are shown, for windows and episodes that run to be as they would be."""
_UNITS: Final = {"bpm": "bpm", "mm_hg": "mmHg", "mg_dl": "mg/dL", "percent": "%"}


def tried(
    settings: Settings, now: Rules, rule: Rule, patient: Patient, days: float, picture: Path | None, *, drawing: bool
) -> Iterator[str]:
    """The lines to be shown. Looks at the patient with their limits, whether or not the rule is switched on for them.

    Raises BadInput for a rule over the whole history: no value decides it.
    """
    if rule.every:
        raise BadInput(
            f"{rule.name} is asked every {rule.every} over the whole history; only rules about values can be tried",
            reason="rule",
        )
    others = [other for other in now.plan.rules if other.name != rule.name]
    everything = plan([*others, rule], foreteller=now.plan.foreteller)
    stream = next(one for one in everything.streams.values() if rule in one.rules)
    with store_as_of_now(settings) as store:
        newest = store.latest([patient.id])
        to_us = newest[0].time_us + 1 if newest else wall_us()
        from_us = to_us - round(days * DAY_US)
        seen = past(store, patient.id, from_us - _RUN_IN_US, to_us)
    found = [
        one
        for one in _found(everything, stream, rule, now, patient, seen, to_us)
        if one.end_us is None or one.end_us > from_us
    ]
    scene = _scene(rule, stream, patient, seen, found, from_us, to_us)
    yield from _table(scene, found)
    if drawing:
        yield ""
        yield from drawn(scene)
    if picture is not None:
        picture.write_text(svg(scene), encoding="utf-8")
        yield f"picture: {picture}"


def _found(
    everything: Plan, stream: StreamPlan, rule: Rule, now: Rules, patient: Patient, seen: Past, to_us: int
) -> list[Found]:
    """By this one rule, switched on."""
    bit = stream.rules.index(rule)
    whole = references(everything, now.layers, [patient], lines=now.lines)[stream.name]
    alone = replace(whole, otherwise=replace(whole.of(patient.id), mask=1 << bit), patients={}, version="")
    silent = int(stream.program.silence_us[bit]) > 0
    values = {name: batch for name, batch in seen.values.items() if name == stream.quantity}
    until_us = to_us if silent else None
    return episodes(everything, {stream.name: alone}, values, seen.context, silent_until_us=until_us)


def _scene(
    rule: Rule, stream: StreamPlan, patient: Patient, seen: Past, found: Sequence[Found], from_us: int, to_us: int
) -> Scene:
    zone = zone_or_utc(patient.time_zone)
    shown = seen.values.get(stream.quantity)
    times_us = np.empty(0, np.int64) if shown is None else int64_column(shown, "time_us")
    levels = np.empty(0) if shown is None else int64_column(shown, "glucose_tenths") / stream.scale
    order = np.argsort(times_us, kind="stable")
    order = order[times_us[order] >= from_us]
    span = f"{_instant(from_us, zone)} to {_instant(to_us, zone)} ({patient.time_zone})"
    return Scene(
        title=rule.title,
        subtitle=f"{patient.id} · {span} · {_episodes(len(found))} · {_unit(stream.quantity)}",
        times_us=times_us[order],
        values=levels[order],
        band=(patient.low_mg_dl, patient.high_mg_dl) if stream.quantity == GLUCOSE else None,
        stretches=[
            Stretch(onset_us=one.onset_us, end_us=to_us if one.end_us is None else one.end_us, severity=one.severity)
            for one in found
        ],
        from_us=from_us,
        to_us=to_us,
        zone=zone,
    )


def _table(scene: Scene, found: Sequence[Found]) -> Iterator[str]:
    yield scene.title
    yield scene.subtitle
    if not len(scene.values):
        yield "There are no values in these days."
    if not found:
        return
    yield ""
    yield f"{'onset':16}  {'end':16}  {'minutes':>7}  {'lowest':>7}  {'highest':>7}"
    for one in found:
        end_us = scene.to_us if one.end_us is None else one.end_us
        end = "still going on" if one.end_us is None else scene.clock(one.end_us)
        span = f"{scene.clock(one.onset_us)}  {end:16}  {(end_us - one.onset_us) / MINUTE_US:7.0f}"
        yield f"{span}  {_value(one.lowest)}  {_value(one.highest)}"
    yield ""
    for day, count in sorted(Counter(scene.clock(one.onset_us)[:10] for one in found).items()):
        yield f"{day}  {count:3}"
    minutes = sum(one.end_us - one.onset_us for one in scene.stretches) / MINUTE_US
    often = len(found) / max(scene.days_seen, 1.0)  # of less than a day nobody knows how often a day
    yield f"{often:.1f} a day since the first value, {minutes / len(found):.0f} minutes each"


def _episodes(count: int) -> str:
    return "1 episode" if count == 1 else f"{count} episodes"


def _value(value: float | None) -> str:
    return f"{'–' if value is None else f'{value:g}':>7}"


def _instant(instant_us: int, zone: tzinfo) -> str:
    return from_us(instant_us).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _unit(quantity: str) -> str:
    """The unit at the end of a quantity's name, as people write it."""
    return next((shown for ending, shown in _UNITS.items() if quantity.endswith(ending)), quantity)
