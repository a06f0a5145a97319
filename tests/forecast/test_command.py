"""`islet forecast`, and the model in the package."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from islet.cli import main
from islet.engine.in_force import forecasting
from islet.errors import BadInput
from islet.forecast.card import as_markdown
from islet.forecast.forecaster import Forecaster, Reason
from islet.forecast.model import from_bytes, to_bytes
from islet.forecast.network import MEDIAN
from islet.forecast.shipped import shipped_model
from islet.opened import opened_registry
from islet.settings import load
from tests.forecast.conftest import recording


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve people for half a day each."""
    lines = ["id,time,gl"]
    for k in range(12):
        segment = recording(str(k), 0.6, 100 + k)
        at = (segment.start_min + 5 * np.arange(len(segment))).astype("datetime64[m]")
        lines += [f"{k},{t},{v:.0f}" for t, v in zip(at, segment.glucose, strict=True)]
    file = tmp_path_factory.mktemp("forecast") / "mine.csv"
    file.write_text("\n".join(lines))
    return file


def test_one_trains_a_model_that_is_the_same_again_and_has_its_card(table: Path, tmp_path: Path) -> None:
    kept, diary = [], tmp_path / "diary.csv"
    ate = [
        f"{k},{table.read_text().split(f'{chr(10)}{k},')[70 + 9 * m].partition(',')[0]},50"
        for k in range(12)
        for m in range(8)
    ]
    diary.write_text("\n".join(["id,time,carbs_g", *ate]))
    for name in ("one", "two"):
        out = tmp_path / f"{name}.npz"
        command = ["forecast", "train", str(table), "--out", str(out), "--epochs", "0.5", "--source", "made up, CC0"]
        command += ["--meals", str(diary)]
        ran = CliRunner().invoke(main, command)
        assert ran.exit_code == 0, ran.output
        kept.append(out)
    one, two = (from_bytes(out.read_bytes()) for out in kept)
    assert all(np.array_equal(a, b) for a, b in zip(one.networks[0].weights, two.networks[0].weights, strict=True))
    card = CliRunner().invoke(main, ["forecast", "card", "--model", str(kept[0])])
    assert one.meals.tobytes() == two.meals.tobytes()
    assert "made up, CC0" in card.output and "the hour after a meal, 30 min | 12 |" in card.output
    command = ["forecast", "evaluate", str(table), "--model", str(kept[0]), "--json"]
    evaluated = CliRunner().invoke(main, [*command, "--meals", str(diary)])
    assert json.loads(evaluated.output)["forecasts"] > 100
    assert json.loads(evaluated.output)["meals"]["all forecasts"]["people"] == 12
    assert "give one for each table" in CliRunner().invoke(main, [*command, *(["--meals", str(diary)] * 2)]).output


def test_too_few_people_are_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("id,time,gl\n" + "\n".join(f"1,2024-01-01 {k // 12:02}:{5 * (k % 12):02},100" for k in range(100)))
    ran = CliRunner().invoke(main, ["forecast", "train", str(file), "--out", str(tmp_path / "no.npz")])
    assert ran.exit_code == 1
    assert "at least 10 people, got 1" in ran.output


@pytest.mark.parametrize("value", ["5.6", "-3", "inf", "1501", "x"])
def test_a_table_in_another_unit_or_with_values_that_nobody_has_is_refused_with_its_row(
    tmp_path: Path, value: str
) -> None:
    """A model that has learnt mmol/L as mg/dL would say nothing of it."""
    file = tmp_path / "odd.csv"
    file.write_text(f"id,time,gl\n1,2024-01-01 00:00,null\n1,2024-01-01 00:05,100\n1,2024-01-01 00:10,{value}\n")
    ran = CliRunner().invoke(main, ["forecast", "evaluate", str(file)])
    assert ran.exit_code == 1
    assert (
        "row 2 (from 0, without the header): expected an ISO 8601 time without zone and a number from 10 to 1500 mg/dL"
        in ran.output
    )


@pytest.mark.parametrize("time", ["", "NaT", "2024-01-01T00:10Z", "2024-01-01T00:10+01:00", "noon"])
def test_what_is_no_time_of_a_persons_own_clock_is_refused_with_its_row(tmp_path: Path, time: str) -> None:
    """NumPy takes nothing for a time, and makes UTC of others."""
    file = tmp_path / "odd.csv"
    file.write_text(f"id,time,gl\n1,2024-01-01 00:00,100\n1,{time},100\n")
    ran = CliRunner().invoke(main, ["forecast", "evaluate", str(file)])
    assert ran.exit_code == 1 and "row 1 (from 0, without the header): expected an ISO 8601 time" in ran.output


def test_recordings_too_short_to_foretell_an_hour_are_told(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("id,time,gl\n" + "\n".join(f"1,2024-01-01 {k // 60:02}:{k % 60:02},100" for k in range(72)))
    ran = CliRunner().invoke(main, ["forecast", "evaluate", str(file)])
    assert ran.exit_code == 1 and "over 165 minutes or more" in ran.output


def test_tables_of_one_name_are_refused_because_their_people_would_be_one(table: Path, tmp_path: Path) -> None:
    again = tmp_path / table.name
    again.write_bytes(table.read_bytes())
    ran = CliRunner().invoke(main, ["forecast", "evaluate", str(table), str(again)])
    assert ran.exit_code == 1 and "the same name" in ran.output


def test_readings_every_fifteen_minutes_teach(tmp_path: Path) -> None:
    lines = ["id,time,gl"]
    for k in range(10):
        lines += [f"{k},2024-01-{1 + n // 96:02}T{n // 4 % 24:02}:{n % 4 * 15:02},{100 + n % 7 + k}" for n in range(60)]
    file, out = tmp_path / "libre.csv", tmp_path / "own.npz"
    file.write_text("\n".join(lines))
    ran = CliRunner().invoke(main, ["forecast", "train", str(file), "--out", str(out), "--epochs", "0.1"])
    assert ran.exit_code == 0 and from_bytes(out.read_bytes()).card


def test_a_model_that_is_damaged_anywhere_is_told() -> None:
    whole = to_bytes(shipped_model())
    refused = 0
    for at in range(0, len(whole), 499):
        try:
            from_bytes(whole[:at] + bytes(64) + whole[at + 64 :])
        except BadInput:
            refused += 1
    assert refused > 100


def test_a_table_that_is_not_utf_8_a_model_that_is_none_and_a_folder_that_is_missing_are_told(tmp_path: Path) -> None:
    file = tmp_path / "sixteen.csv"
    file.write_text("id,time,gl\n1,2024-01-01 00:00,100\n", encoding="utf-16")
    assert "expected a CSV in UTF-8" in CliRunner().invoke(main, ["forecast", "evaluate", str(file)]).output
    said = CliRunner().invoke(main, ["forecast", "card", "--model", str(file)]).output
    assert "expected an .npz that `islet forecast train` wrote" in said
    assert "allow_pickle" not in said
    nowhere = str(tmp_path / "no" / "model.npz")
    assert "there is no" in CliRunner().invoke(main, ["forecast", "train", str(file), "--out", nowhere]).output


def test_a_risk_that_never_came_has_no_skill_in_the_card(table: Path) -> None:
    """It was divided by almost nothing: -791154451.60."""
    command = ["forecast", "evaluate", str(table)]
    risks = json.loads(CliRunner().invoke(main, [*command, "--json"]).output)["risks"]
    never = {name for name, one in risks.items() if one["rate"] in (0, 1)}
    assert never
    assert all((one["skill"] is None) == (name in never) for name, one in risks.items())
    page = CliRunner().invoke(main, command).output
    assert all(f"| {name} | {risks[name]['rate']:.2%} | {risks[name]['brier']:.4f} | – |" in page for name in never)


def test_the_shipped_model_is_small_says_what_it_is_made_of_and_forecasts_at_once() -> None:
    model = shipped_model()
    page = as_markdown(model.card)
    assert "CC BY 4.0" in page
    assert "Dosing decisions are not to be made" in page
    rising = np.array([[100 + 4 * k for k in range(24)], [150] * 24], np.float32)
    said = Forecaster(model=model).forecast(rising, np.array([720, np.nan], np.float32))
    assert (said.reason == Reason.FORECAST).all()
    assert said.quantiles[0, 2, MEDIAN] > 192 + 4
    assert abs(said.quantiles[1, 2, MEDIAN] - 150) < 8


def test_the_shipped_card_holds_what_was_promised_of_coverage_and_risks() -> None:
    figures = shipped_model().card["figures"]
    assert isinstance(figures, dict)
    for share, found in figures["coverage"].items():
        assert abs(found - int(share) / 100) <= 0.02
    assert all(one["calibration_error"] <= 0.01 for one in figures["risks"].values())
    assert figures["errors"]["model"]["rmse"] < 0.9 * figures["errors"]["persistence"]["rmse"]


def test_an_administrator_chooses_the_model_and_leaves_it_to_the_watch_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLET_DATA_DIR", str(tmp_path))
    settings = load(None, {"ISLET_DATA_DIR": str(tmp_path)})
    for given, model, by_hand in (("damped_slope", "damped_slope", True), ("auto", "damped_slope", False)):
        ran = CliRunner().invoke(main, ["forecast", "use", given])
        assert ran.exit_code == 0, ran.output
        with opened_registry(settings) as registry:
            now = forecasting(registry)
        assert (now.model, now.by_hand) == (model, by_hand)
