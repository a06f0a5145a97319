"""The card of a model: what it was made of, how it does on people it has not seen, and what it is not for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from islet.forecast.model import Model

_USE = (
    "Shows where glucose may go in the next hour and how sure that is, and warns early. Not a medical device. "
    "Dosing decisions are not to be made from it."
)
_LIMITS = (
    "It knows glucose, the time of day and carbs that were entered for the last hour, not insulin or sport that are "
    "about to act.",
    "It has seen few people under 18, none in pregnancy, and few lows below 54 mg/dL: trust its risk of those least.",
    "Sensors lag the blood and err after they are put on, or are lain upon; a forecast errs with them.",
    "Intervals hold for people on the average, not for each person and each hour.",
)


def with_card(
    model: Model,
    *,
    title: str,
    sources: Mapping[str, str],
    people: Mapping[str, Mapping[str, int]],
    figures: Mapping[str, object],
    seed: int,
) -> Model:
    """The model with its card."""
    card: dict[str, object] = {
        "title": title,
        "seed": seed,
        "sources": dict(sources),
        "people": {k: dict(v) for k, v in people.items()},
        "figures": dict(figures),
        "use": _USE,
        "limits": list(_LIMITS),
    }
    return replace(model, card=card)


def as_markdown(card: Mapping[str, Any]) -> str:
    """The card as a page. A card without figures (a model made by hand) is a title and its limits."""
    parts = [f"# Model card: {card.get('title', 'untitled')}", card.get("use", _USE)]
    people = card.get("people", {})
    rows = [(name, *(str(counts[k]) for k in ("learn", "judge", "points"))) for name, counts in people.items()]
    parts += ["## Data", *(f"- {name}: {said}" for name, said in card.get("sources", {}).items())]
    if rows:
        parts.append(_table(("source", "people learnt from", "judged by", "points of 5 min"), rows))
    figures = card.get("figures", {})
    if figures:
        parts += ["## On people it has not seen", figures_markdown(figures)]
    parts += ["## Limits", *(f"- {said}" for said in card.get("limits", _LIMITS))]
    return _spaced(parts) + "\n"


def figures_markdown(figures: Mapping[str, Any]) -> str:
    """The tables of judge.card_figures."""
    fifty, ninety = _covered(figures["coverage"])
    personal = figures["personal"]
    parts = [
        f"{figures['forecasts']:,} forecasts, as they would have been live.",
        "### Errors, mg/dL",
        _errors_table(figures["errors"]),
        "### By source",
        _sources_table(figures["by_source"]),
        f"Over all: {fifty} of what came lay in the 50 % interval, {ninety} in the 90 % interval.",
        "### Risks",
        _risks_table(figures["risks"]),
        "### Warnings of a low (below 70 mg/dL for 15 min)",
        _alarms_table(figures["alarms"]),
        "### Error grids, shares of zones",
        _table(("grid", *"ABCDE"), [(k, *(f"{one[z]:.2%}" for z in "ABCDE")) for k, one in figures["grids"].items()]),
    ]
    if "worst" in personal:
        parts += ["### Personal correction", _personal_said(personal)]
    if "meals" in figures:
        parts += ["### Carbs of the last hour", meals_table(figures["meals"])]
    return _spaced(parts)


def _personal_said(one: Mapping[str, float]) -> str:
    return (
        f"MAE {one['mae']:.2f} mg/dL without and {one['mae_corrected']:.2f} with lines learnt each night: {one['gain']:.1%} "
        f"less ({one['gain_low']:.1%} to {one['gain_high']:.1%} in 95 of 100 draws of people). In the tenth of the people "
        f"whom it helps least it changes the MAE by {one['worst_tenth']:+.1%}; of the one whom it harms most, by "
        f"{one['worst']:+.1%}."
    )


def _errors_table(errors: Mapping[str, Any]) -> str:
    rows = [(name, *(f"{one[k]:.2f}" for k in _ERRORS)) for name, one in errors.items()]
    return _table(("", "RMSE", "MAE", "RMSE 30 min", "MAE 30 min", "RMSE 60 min", "MAE 60 min"), rows)


def _sources_table(sources: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            str(one["people"]),
            f"{one['errors']['model']['rmse']:.2f}",
            f"{one['errors']['persistence']['rmse']:.2f}",
            *_covered(one["coverage"]),
        )
        for name, one in sources.items()
    ]
    return _table(("source", "people", "RMSE", "persistence", "50 % interval", "90 % interval"), rows)


def _risks_table(risks: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            f"{one['rate']:.2%}",
            f"{one['brier']:.4f}",
            "–" if one["skill"] is None else f"{one['skill']:.2f}",
            f"{one['calibration_error']:.4f}",
        )
        for name, one in risks.items()
    ]
    return _table(("risk", "came", "Brier", "skill", "calibration error"), rows)


def _alarms_table(alarms: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            str(one["events"]),
            _said(one["sensitivity"], ".0%"),
            _said(one["false_a_day"], ".2f"),
            _said(one["lead_min"], ".0f"),
            _said(one["true_share"], ".0%"),
        )
        for name, one in alarms.items()
    ]
    return _table(("warning", "events", "foretold", "false a day", "lead, min", "true"), rows)


def meals_table(meals: Mapping[str, Any]) -> str:
    """The table of learn_meals.meals_figures: errors without and with carbs of the last hour."""
    rows = [
        (
            f"{name}, {minutes} min",
            f"{one['people']:.0f}",
            f"{one['forecasts']:,.0f}",
            f"{one[f'mae_{minutes}']:.2f}",
            f"{one[f'mae_{minutes}_known']:.2f}",
            f"{one[f'gain_{minutes}']:.1%} ({one[f'gain_{minutes}_low']:.1%} to {one[f'gain_{minutes}_high']:.1%})",
            f"{one[f'worst_{minutes}']:.1%}",
            f"{one['covered_50']:.1%} / {one['covered_90']:.1%}",
            f"{one['covered_50_known']:.1%} / {one['covered_90_known']:.1%}",
        )
        for name, one in meals.items()
        for minutes in (30, 60)
    ]
    header = (
        "",
        "people",
        "forecasts",
        "MAE",
        "with meals",
        "less by",
        "worst person",
        "50 / 90 % interval",
        "with meals",
    )
    return _table(header, rows)


_ERRORS = ("rmse", "mae", "rmse_30_min", "mae_30_min", "rmse_60_min", "mae_60_min")


def _covered(found: Mapping[Any, float]) -> tuple[str, str]:
    """JSON makes words of numbers that are keys."""
    return tuple(f"{found[k] if k in found else found[str(k)]:.1%}" for k in (50, 90))  # type: ignore[return-value]


def _said(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spaced(parts: list[str]) -> str:
    """Blank lines between all but the items of a list."""
    out = parts[0]
    for before, part in pairwise(parts):
        out += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return out
