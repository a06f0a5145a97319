"""Metrics have the values of other programs and of arithmetic: iglu 4.3.0 (R, TZ=UTC), closed forms, hand.

Left out, with the reason: iglu's `auc` puts points into wrong days (its own definition is tested instead), `MAG` inside
`all_metrics` is the old hourly one, and dates and rounded numbers of days are no metrics.
"""

import csv
import json
from functools import cache
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from islet.metrics import change, episodes, grade, hba1c, indices, mage, ranges, risk, sufficiency, summary
from islet.metrics.columns import Floats
from islet.metrics.days import auc_mg_dl
from islet.metrics.grid import day_grid
from islet.metrics.people import every, people_of
from islet.metrics.pgs import pgs
from islet.metrics.table import METRICS, Material, measured
from tests.metrics.traces import clocks, five_people, rows_of

KINDS = {
    "hypo:lv1": "low",
    "hypo:lv2": "very_low",
    "hypo:extended": "extended_low",
    "hyper:lv1": "high",
    "hyper:lv2": "very_high",
    "hypo:lv1_excl": "low_only",
    "hyper:lv1_excl": "high_only",
}
IN_ALL_METRICS = {
    "Min.": "least_mg_dl",
    "1st Qu.": "quantile_25_mg_dl",
    "Median": "median_mg_dl",
    "Mean": "mean_mg_dl",
    "mean": "mean_mg_dl",
    "3rd Qu.": "quantile_75_mg_dl",
    "Max.": "greatest_mg_dl",
    "range": "range_mg_dl",
    "SD": "sd_mg_dl",
    "CV": "cv_percent",
    "IQR": "iqr_mg_dl",
    "MAD": "mad_mg_dl",
    "GMI": "gmi_percent",
    "eA1C": "ea1c_percent",
    "GRI": "gri",
    "GRADE": "grade",
    "GRADE_eugly": "grade_eu_percent",
    "GRADE_hyper": "grade_hyper_percent",
    "GRADE_hypo": "grade_hypo_percent",
    "LBGI": "lbgi",
    "HBGI": "hbgi",
    "ADRR": "adrr",
    "hypo_index": "hypo_index",
    "hyper_index": "hyper_index",
    "IGC": "igc",
    "J_index": "j_index",
    "M_value": "m_value",
    "COGI": "cogi",
    "PGS": "pgs",
    "MAGE": "mage_average_mg_dl",
    "MODD": "modd_mg_dl",
    "Conga": "conga_24_h_mg_dl",
    "GVP": "gvp_percent",
    "SD.Roc": "rate_sd_mg_dl_per_min",
    "CV_Measures_Mean": "cv_of_days_mean_percent",
    "CV_Measures_SD": "cv_of_days_sd_percent",
    "SDw": "sd_within_days_mg_dl",
    "SDhhmm": "sd_of_profile_mg_dl",
    "SDwsh": "sd_within_hour_mg_dl",
    "SDdm": "sd_of_day_means_mg_dl",
    "SDb": "sd_between_days_mg_dl",
    "SDbdm": "sd_between_days_levelled_mg_dl",
    "CVmean": "cv_of_days_mean_percent",
    "CVsd": "cv_of_days_sd_percent",
    "sd_roc": "rate_sd_mg_dl_per_min",
    "median": "median_mg_dl",
}
NO_METRICS = {"start_date", "end_date", "ndays"}
LEFT_OUT = {("auc", "hourly_auc"), ("all_metrics", "AUC"), ("all_metrics", "MAG")}


class Ours:
    """Our value (p,) for a row of iglu's."""

    def __init__(self, material: Material) -> None:
        self.material, self.people, self.values = material, material.people, measured(material, tell_all=True)
        self._episodes = cache(self._episodes_of)

    def value(self, function: str, parameters: dict[str, Any], output: str) -> Floats:
        words = output.split("_")
        if function == "episode_calculation":
            return self._of_episode(output, int(parameters["dur_length"]))
        if function == "mage" and parameters["version"] == "ma":
            kind = {"avg": "average", "max": "greatest"}.get(parameters["direction"], parameters["direction"])
            return self.values[f"mage_{kind}_mg_dl"]
        if function == "mage":
            return self.values["mage_naive_mg_dl"]
        if function == "quantile_glu":
            return summary.quantile_mg_dl(self.people, float(output) / 100.0)
        if output == "active_percent":
            enough = self.material.sufficiency
            return enough.window_active_percent if "range_type" in parameters else enough.active_percent
        if words[0] == "above":
            return ranges.above_percent(self.people, float(words[1]))
        if words[0] == "below":
            return ranges.below_percent(self.people, float(words[1]))
        if words[:2] == ["in", "range"]:
            return ranges.in_range_percent(self.people, float(words[2]), float(words[3]))
        if function == "m_value":
            return indices.m_value(self.people, reference_mg_dl=parameters["r"])
        if function == "mag":
            return change.mag_mg_dl_per_h(self.material.grid, every_min=parameters.get("n"))
        if function == "conga":
            return change.conga_mg_dl(self.material.grid, hours=parameters["n"])
        if output.startswith("total_extended_"):
            found = self.material.episodes
            kind = found.extended_low if "hypo" in output else found.extended_high
            return episodes.summarised(kind, self.material.grid).count.astype(np.float64)
        if output.startswith(("hypo_", "hyper_")) and not output.endswith("index"):
            return self._of_episode(f"avg_ep_per_day[{output.replace('_', ':', 1)}]", 15)
        return self.values[IN_ALL_METRICS[output]]

    def _of_episode(self, output: str, minutes: int) -> Floats:
        name, kind = output.removesuffix("]").split("[")
        found = episodes.summarised(getattr(self._episodes(minutes), KINDS[kind]), self.material.grid)
        return {
            "avg_ep_per_day": found.per_day,
            "avg_ep_duration": found.mean_minutes,
            "avg_ep_gl": found.mean_mg_dl,
            "total_episodes": found.count.astype(np.float64),
        }[name]

    def _episodes_of(self, minutes: int) -> episodes.ConsensusEpisodes:
        return episodes.consensus_episodes(self.material.grid, minutes=minutes)


def differences(ours: Ours, file: Path) -> tuple[int, list[str]]:
    """How many values were compared, and those that are not the same."""
    compared, different = 0, []
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["output"] in NO_METRICS or (row["fn"], row["output"]) in LEFT_OUT:
                continue
            parameters = json.loads(row["params"])
            got = ours.value(row["fn"], parameters if isinstance(parameters, dict) else {}, row["output"])
            value = float(got[ours.people.ids.index(row["id"])])
            wanted = float("nan") if row["value"] == "NA" else float(row["value"])
            tolerance = 1e-4 if row["output"] in {"LBGI", "HBGI", "ADRR"} else 1e-6
            compared += 1
            if value != pytest.approx(wanted, rel=tolerance, abs=1e-12, nan_ok=True):
                different.append(f"{row['id']} {row['fn']} {row['output']}: {value} for {wanted}")
    return compared, different


def test_every_value_of_iglu_4_3_0_is_ours_as_well(shared_data: Path) -> None:
    ours = Ours(Material(five_people(shared_data)))
    compared, different = differences(ours, shared_data / "iglu" / "expected_values_subjects_1_2_3.csv")
    assert compared > 600
    assert different == []


def test_the_comparison_sees_a_metric_that_is_a_millionth_off(shared_data: Path) -> None:
    ours = Ours(Material(five_people(shared_data)))
    ours.values["modd_mg_dl"] = ours.values["modd_mg_dl"] * (1.0 + 2e-6)
    _, different = differences(ours, shared_data / "iglu" / "expected_values_subjects_1_2_3.csv")
    assert len(different) == 6  # three people, alone and inside of all_metrics


def test_auc_is_what_iglu_defines_and_not_what_it_computes(shared_data: Path) -> None:
    people = five_people(shared_data)
    ours = dict(zip(people.ids, auc_mg_dl(day_grid(people)), strict=True))
    with (shared_data / "iglu" / "auc_correct_vs_iglu.csv").open(encoding="utf-8", newline="") as lines:
        defined = {row["id"]: float(row["hourly_auc_correct"]) for row in csv.DictReader(lines)}
    assert len(defined) == 5
    assert ours == pytest.approx(defined, rel=1e-12)


def test_mage_by_service_is_within_five_percent_of_hand(shared_data: Path) -> None:
    """18 days measured by hand with Service's method (Fernandes 2022, doi:10.1177/19322968211061165)."""
    ids, clock_us, glucose = rows_of(shared_data / "iglu" / "example_data_5_subject.csv")
    errors = []
    with (shared_data / "iglu" / "mage_manual_segments.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            rows = slice(int(row["row_start_1based"]) - 1, int(row["row_end_1based"]))
            one = mage.mage(people_of(ids[rows], clock_us[rows], glucose[rows]))
            by_hand = float(row["manual_mage"])
            errors.append(abs(one.service[0] - by_hand) / by_hand)
            kinds = {"mage_plus": one.plus, "mage_minus": one.minus, "mage_avg": one.average, "mage_max": one.greatest}
            for name, ours in kinds.items():
                assert ours[0] == pytest.approx(float(row[name]), rel=1e-9), (row["id"], name)
    assert len(errors) == 18
    assert np.median(errors) <= 0.05


def test_closed_forms_hold(shared_data: Path) -> None:
    cases = json.loads((shared_data / "iglu" / "closed_form_traces.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 13
    for case in cases:
        start = clocks([case["start"]])[0]
        clock_us = start + np.arange(len(case["glucose"])) * case["dt_min"] * 60_000_000
        material = Material(people_of(["one"] * len(clock_us), clock_us, np.array(case["glucose"])))
        ours = _closed(material)
        for name, wanted in case["expected"].items():
            if name in ours:
                same = (
                    np.isnan(ours[name]) if wanted is None else ours[name] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
                )
                assert same, (case["name"], name)
            else:
                assert name in {"n", "lbgi_2277", "hbgi_2277", *MEAL}, name


MEAL = {"meal_index", "baseline", "peak", "delta", "time_to_peak_min", "iauc_mgdl_min"}
"""Of the room of patterns, not of metrics."""


def _closed(material: Material) -> dict[str, float]:
    people, found = material.people, material.episodes
    bands = ranges.shares(people)
    minutes = found.low.minutes
    columns: dict[str, Any] = {
        "mean": summary.mean_mg_dl(people),
        "sd": summary.sd_mg_dl(people),
        "cv": summary.cv_percent(people),
        "gmi": hba1c.gmi_percent(people),
        "ea1c": hba1c.ea1c_percent(people),
        "tbr2": bands.very_low,
        "tbr1": bands.low,
        "tbr": ranges.below_percent(people, 70.0),
        "tir": bands.in_range,
        "titr": ranges.in_range_percent(people, 70.0, 140.0),
        "tar1": bands.high,
        "tar2": bands.very_high,
        "tar": ranges.above_percent(people, 180.0),
        "tir_preg_63_140": ranges.in_range_percent(people, 63.0, 140.0),
        "lbgi_1509": risk.lbgi(people),
        "hbgi_1509": risk.hbgi(people),
        "j_index": indices.j_index(people),
        "m_value_90": indices.m_value(people),
        "hypo_index": indices.hypo_index(people),
        "hyper_index": indices.hyper_index(people),
        "grade": grade.grade(people),
        "gri": material.gri.index,
        "mage": mage.mage(people).service,
        "modd": change.modd_mg_dl(material.grid),
        "conga24": change.conga_mg_dl(material.grid),
        "hypo_events_lv1": [len(found.low)],
        "hypo_events_lv2": [len(found.very_low)],
        "hypo_events_lv1_excl": [len(found.low_only)],
        "hypo_events_extended": [len(found.extended_low)],
        "hyper_events_lv1": [len(found.high)],
        "hypo_lv1_duration_min": minutes if len(minutes) else [0],
    }
    return {name: float(column[0]) for name, column in columns.items()}


def test_pgs_adds_up_as_hirsch_has_it() -> None:
    """A week with one episode below 54 and one from 54 to 70 (doi:10.1089/dia.2017.0080)."""
    glucose = np.full(7 * 288, 110.0)
    glucose[300:306], glucose[600:606] = 50.0, 60.0
    people = every(5, glucose.tolist())
    weeks = (7 * 288 - 1) / (7 * 288)  # the reading at the first midnight is not on the grid
    gvp = float(change.gvp_percent(day_grid(people))[0])
    in_range, mean = 100.0 * (2016 - 12) / 2016, (2004 * 110.0 + 6 * 50.0 + 6 * 60.0) / 2016
    wanted = (
        (1 + 9 / (1 + exp(-0.049 * (gvp - 65.47))))
        + (1 + 9 / (1 + exp(0.0833 * (in_range - 55.04))))
        + (1 + 9 * (1 / (1 + exp(0.1139 * (mean - 72.08))) + 1 / (1 + exp(-0.09195 * (mean - 157.57)))))
        + (0.5 + 4.5 * (1 - exp(-0.81093 / weeks)))
        + (0.5714 / weeks + 0.625)
    )
    assert pgs(people)[0] == pytest.approx(wanted, rel=1e-12)


def test_active_percent_is_iglus_for_each_person_alone(shared_data: Path) -> None:
    """A README of the data says that iglu takes the first person's interval for all; ours is each person's own."""
    people = five_people(shared_data)
    alone = [float(sufficiency.active_percent(people.one(index))[0]) for index in range(len(people))]
    assert sufficiency.active_percent(people).tolist() == alone


def test_each_metric_of_the_table_has_a_name_of_its_own() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 55
