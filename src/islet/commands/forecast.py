"""`islet forecast`: train a model on one's own recordings, see how it does on people it has not seen, read its card."""

import csv
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import numpy as np

from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.refusals import SEED
from islet.engine.in_force import forecasting
from islet.engine.rulebook import forecast_by
from islet.errors import BadInput
from islet.forecast.card import as_markdown, figures_markdown, with_card
from islet.forecast.fit import counted, divide, fit_model
from islet.forecast.forecaster import Forecaster
from islet.forecast.grid import LONGEST_GAP_MIN, STEP_MIN, Segment
from islet.forecast.judge import card_figures, judged
from islet.forecast.learn_meals import fit_meals, forecasts_of, held_out, meals_figures
from islet.forecast.meals import added
from islet.forecast.model import Model, from_bytes, to_bytes
from islet.forecast.recordings import Columns, Rows, read_table, recordings
from islet.forecast.serving import SHADOWS, SHIPPED, Choice
from islet.forecast.shipped import shipped_model
from islet.forecast.train import Recipe
from islet.opened import opened_registry
from islet.settings import Settings

_LEAST_READINGS: Final = 48
_LEAST_POINTS: Final = 33  # an hour before, one to foretell, and the longest gap in between
_GLUCOSE: Final = Columns(least=10, most=1500)  # so that a table in mmol/L is refused
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIARIES: Final = click.option(
    "--meals",
    "diaries",
    multiple=True,
    type=_FILE,
    help="What the people of a table ate: CSV with the columns id, time and carbs_g; once for each table, in their order.",
)


@click.group()
def forecast() -> None:
    """Forecasts of the next hour: train, evaluate, card, use."""


@forecast.command()
@click.argument("tables", nargs=-1, required=True, type=_FILE)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The model, an .npz file.")
@click.option("--title", default="own model", show_default=True, help="How the card calls it.")
@click.option(
    "--source", "sources", multiple=True, help="Where a table is from and its licence, for the card; once for each."
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=SEED,
    help="The same tables and seed give the same model.",
)
@click.option(
    "--epochs",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.1, 1000),
    help="How often to go through the data.",
)
@_DIARIES
def train(
    tables: Sequence[Path],
    out: Path,
    title: str,
    sources: Sequence[str],
    seed: int,
    epochs: float,
    diaries: Sequence[Path],
) -> None:
    """Train on TABLES: CSV files with the columns id, time (ISO 8601, the person's own clock) and gl (mg/dL).

    Of the people, four fifths teach, and a fifth judges: the card holds what was found on those. What meals add is
    learnt where --meals says who ate what, and found true on people held out in turn.
    """
    if sources and len(sources) != len(tables):
        raise BadInput(
            f"{len(tables)} tables, {len(sources)} --source: give one for each table, or none", reason="usage"
        )
    if not out.parent.is_dir():  # before an hour of training
        raise BadInput(f"--out: expected a folder that is there; there is no {out.parent}", reason="usage")
    meals = _meals(tables, diaries)
    people = divide(_recordings(tables), seed)
    with click.progressbar(length=1000, label="training", show_pos=False) as bar:
        model = fit_model(
            people, Recipe(epochs=epochs), seed, progress=lambda done: bar.update(int(1000 * done) - bar.pos)
        )
        bar.update(1000 - bar.pos)
    model = from_bytes(to_bytes(model))  # judged as it is kept, in half precision
    click.echo("judging …")
    figures = card_figures(judged(Forecaster(model=model), people.judge, 1), people.judge)
    if meals:
        model = replace(model, meals=fit_meals(forecasts_of(model, people.learn, meals)))
        ate = forecasts_of(model, [*people.learn, *people.judge], meals)
        figures["meals"] = meals_figures(ate, held_out(ate, np.ones(len(ate.person), bool)))
    said = dict(itertools.zip_longest((t.stem for t in tables), sources, fillvalue="source and licence not given"))
    model = with_card(model, title=title, sources=said, people=counted(people), figures=figures, seed=seed)
    out.write_bytes(to_bytes(model))
    click.echo(figures_markdown(figures))
    click.echo(f"\n{out}: {out.stat().st_size:,} bytes")


@forecast.command()
@click.argument("tables", nargs=-1, required=True, type=_FILE)
@click.option("--model", "file", type=_FILE, help="A model file; the one in the package by default.")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
@_DIARIES
def evaluate(tables: Sequence[Path], file: Path | None, as_json: bool, diaries: Sequence[Path]) -> None:
    """How a model would have done live on TABLES (see `train`), beside simple forecasts. They must not be what it learnt from."""
    found, meals, model = _recordings(tables), _meals(tables, diaries), _model(file)
    figures = card_figures(judged(Forecaster(model=model), found, 1), found)
    if meals:
        ate = forecasts_of(model, found, meals)
        figures["meals"] = meals_figures(ate, added(model.meals, ate.eaten))
    click.echo(json.dumps(figures, indent=1) if as_json else figures_markdown(figures))


@forecast.command()
@click.option("--model", "file", type=_FILE, help="A model file; the one in the package by default.")
def card(file: Path | None) -> None:
    """The model card: data and licences, figures on people it has not seen, intended use, limits."""
    click.echo(as_markdown(_model(file).card), nl=False)


@forecast.command()
@click.argument("model", type=click.Choice([SHIPPED, *SHADOWS, "auto"]))
def use(model: str) -> None:
    """Have MODEL forecast from now on, whatever its errors; `auto` leaves it to the watch over them again."""
    settings: Settings = click.get_current_context().obj
    with opened_registry(settings) as registry:
        now = forecasting(registry)
        by_hand = model != "auto"
        chosen = Choice(model=model if by_hand else now.model, by_hand=by_hand, since_us=wall_us())
        forecast_by(registry, chosen, by=who(None))
    click.echo(f"{chosen.model} forecasts" + ("" if by_hand else ", and the watch over errors decides for how long"))


def _model(file: Path | None) -> Model:
    return shipped_model() if file is None else from_bytes(file.read_bytes())


def _meals(tables: Sequence[Path], diaries: Sequence[Path]) -> dict[str, Rows]:
    """By the same names as the recordings' people."""
    if diaries and len(diaries) != len(tables):
        raise BadInput(
            f"{len(tables)} tables, {len(diaries)} --meals: give one for each table, or none", reason="usage"
        )
    found: dict[str, Rows] = {}
    for table, diary in zip(tables, diaries, strict=False):
        read = _read(diary, Columns(glucose="carbs_g"))
        found |= {f"{table.stem}/{person}": rows for person, rows in read.items()}
    return found


def _read(table: Path, columns: Columns) -> dict[str, Rows]:
    """Raises BadInput, with the file, for what is no such table in UTF-8."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            return read_table(lines, str(table), columns)
    except (UnicodeDecodeError, csv.Error):
        raise BadInput(f"{table}: expected a CSV in UTF-8; save it as that", reason="encoding") from None


def _recordings(tables: Sequence[Path]) -> list[Segment]:
    if len({table.stem for table in tables}) < len(tables):
        raise BadInput("two tables have the same name, by which people are told apart: rename one", reason="usage")
    people: dict[str, Rows] = {}
    for table in tables:
        read = _read(table, _GLUCOSE)
        people |= {f"{table.stem}/{person}": rows for person, rows in read.items()}
    found = recordings(people, gap_min=LONGEST_GAP_MIN, least=_LEAST_READINGS)
    found = [one for one in found if len(one) >= _LEAST_POINTS]
    if not found:
        raise BadInput(
            f"no recording has {_LEAST_READINGS} readings without a gap above {LONGEST_GAP_MIN} minutes, over"
            f" {_LEAST_POINTS * STEP_MIN} minutes or more",
            reason="data",
        )
    return found
