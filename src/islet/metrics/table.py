"""All metrics by name: what `islet metrics` prints, and reports and pages pick from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from islet.metrics import change, grade, indices, risk, summary
from islet.metrics.columns import Floats
from islet.metrics.days import DaySpread, auc_mg_dl, day_spread
from islet.metrics.episodes import ConsensusEpisodes, consensus_episodes
from islet.metrics.gri import Gri, gri
from islet.metrics.grid import Grid, day_grid
from islet.metrics.hba1c import ea1c_percent, gmi_percent
from islet.metrics.mage import Mage, mage, naive_mage_mg_dl
from islet.metrics.people import People
from islet.metrics.pgs import pgs
from islet.metrics.ranges import above_percent, below_percent, in_range_percent
from islet.metrics.sufficiency import Sufficiency, sufficiency

MAGE_ALGORITHM: Final = "two moving averages of 25 and 160 min (doi:10.1177/19322968211061165)"
WITHHELD: Final = {"gmi_percent": "needs 14 days worn and 70 % of the readings of the last 14 days"}
"""Metrics that are not told without enough readings, and what is missing then."""


@dataclass(frozen=True)
class Material:
    """The people, and what several metrics look at, made once and only when it is asked for."""

    people: People

    @cached_property
    def grid(self) -> Grid:
        """Values at even steps."""
        return day_grid(self.people)

    @cached_property
    def judged_grid(self) -> Grid:
        """The same of the values that thresholds see."""
        same = self.people.judged_mg_dl is self.people.glucose_mg_dl
        return self.grid if same else day_grid(self.people.judged)

    @cached_property
    def sufficiency(self) -> Sufficiency:
        """How much there is of each person's glucose."""
        return sufficiency(self.people)

    @cached_property
    def episodes(self) -> ConsensusEpisodes:
        """Episodes of all kinds, as the consensus has them."""
        return consensus_episodes(self.judged_grid)

    @cached_property
    def gri(self) -> Gri:
        """The glycemia risk index with its components."""
        return gri(self.people)

    @cached_property
    def mage(self) -> Mage:
        """MAGE of all kinds, by two moving averages."""
        return mage(self.people)

    @cached_property
    def spread(self) -> DaySpread:
        """Variation within and between days."""
        return day_spread(self.grid)


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of each person (p,). name ends with the unit; iglu: what iglu calls it, "" where it has none."""

    name: str
    of: Callable[[Material], Floats]
    iglu: str = ""


_LEVELS: Final = (
    Metric("mean_mg_dl", lambda m: summary.mean_mg_dl(m.people), "mean_glu"),
    Metric("median_mg_dl", lambda m: summary.median_mg_dl(m.people), "median_glu"),
    Metric("least_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 0.0), "quantile_glu 0"),
    Metric("quantile_05_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 0.05), "quantile_glu 5"),
    Metric("quantile_25_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 0.25), "quantile_glu 25"),
    Metric("quantile_75_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 0.75), "quantile_glu 75"),
    Metric("quantile_95_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 0.95), "quantile_glu 95"),
    Metric("greatest_mg_dl", lambda m: summary.quantile_mg_dl(m.people, 1.0), "quantile_glu 100"),
    Metric("sd_mg_dl", lambda m: summary.sd_mg_dl(m.people), "sd_glu"),
    Metric("cv_percent", lambda m: summary.cv_percent(m.people), "cv_glu"),
    Metric("iqr_mg_dl", lambda m: summary.iqr_mg_dl(m.people), "iqr_glu"),
    Metric("mad_mg_dl", lambda m: summary.mad_mg_dl(m.people), "mad_glu"),
    Metric("range_mg_dl", lambda m: summary.range_mg_dl(m.people), "range_glu"),
    Metric("gmi_percent", lambda m: gmi_percent(m.people), "gmi"),
    Metric("ea1c_percent", lambda m: ea1c_percent(m.people), "ea1c"),
)

_RANGES: Final = (
    Metric("below_54_percent", lambda m: below_percent(m.people, 54.0), "below_percent 54"),
    Metric("below_70_percent", lambda m: below_percent(m.people, 70.0), "below_percent 70"),
    Metric("in_range_70_180_percent", lambda m: in_range_percent(m.people, 70.0, 180.0), "in_range_percent 70 180"),
    Metric("in_range_70_140_percent", lambda m: in_range_percent(m.people, 70.0, 140.0), "in_range_percent 70 140"),
    Metric("in_range_63_140_percent", lambda m: in_range_percent(m.people, 63.0, 140.0), "in_range_percent 63 140"),
    Metric("above_140_percent", lambda m: above_percent(m.people, 140.0), "above_percent 140"),
    Metric("above_180_percent", lambda m: above_percent(m.people, 180.0), "above_percent 180"),
    Metric("above_250_percent", lambda m: above_percent(m.people, 250.0), "above_percent 250"),
)

_INDICES: Final = (
    Metric("gri", lambda m: m.gri.index, "gri"),
    Metric("gri_hypo_component_percent", lambda m: m.gri.hypo_component),
    Metric("gri_hyper_component_percent", lambda m: m.gri.hyper_component),
    Metric("lbgi", lambda m: risk.lbgi(m.people), "lbgi"),
    Metric("hbgi", lambda m: risk.hbgi(m.people), "hbgi"),
    Metric("adrr", lambda m: risk.adrr(m.people), "adrr"),
    Metric("grade", lambda m: grade.grade(m.people), "grade"),
    Metric("grade_hypo_percent", lambda m: grade.grade_hypo_percent(m.people), "grade_hypo"),
    Metric("grade_eu_percent", lambda m: grade.grade_eu_percent(m.people), "grade_eugly"),
    Metric("grade_hyper_percent", lambda m: grade.grade_hyper_percent(m.people), "grade_hyper"),
    Metric("hypo_index", lambda m: indices.hypo_index(m.people), "hypo_index"),
    Metric("hyper_index", lambda m: indices.hyper_index(m.people), "hyper_index"),
    Metric("igc", lambda m: indices.igc(m.people), "igc"),
    Metric("j_index", lambda m: indices.j_index(m.people), "j_index"),
    Metric("m_value", lambda m: indices.m_value(m.people), "m_value"),
    Metric("cogi", lambda m: indices.cogi(m.people), "cogi"),
    Metric("pgs", lambda m: pgs(m.people), "pgs"),
)

_VARIATION: Final = (
    Metric("mage_service_mg_dl", lambda m: m.mage.service, "mage service"),
    Metric("mage_average_mg_dl", lambda m: m.mage.average, "mage avg"),
    Metric("mage_greatest_mg_dl", lambda m: m.mage.greatest, "mage max"),
    Metric("mage_plus_mg_dl", lambda m: m.mage.plus, "mage plus"),
    Metric("mage_minus_mg_dl", lambda m: m.mage.minus, "mage minus"),
    Metric("mage_naive_mg_dl", lambda m: naive_mage_mg_dl(m.people), "mage naive"),
    Metric("modd_mg_dl", lambda m: change.modd_mg_dl(m.grid), "modd"),
    Metric("conga_1_h_mg_dl", lambda m: change.conga_mg_dl(m.grid, hours=1), "conga 1"),
    Metric("conga_2_h_mg_dl", lambda m: change.conga_mg_dl(m.grid, hours=2), "conga 2"),
    Metric("conga_4_h_mg_dl", lambda m: change.conga_mg_dl(m.grid, hours=4), "conga 4"),
    Metric("conga_24_h_mg_dl", lambda m: change.conga_mg_dl(m.grid), "conga 24"),
    Metric("mag_mg_dl_per_h", lambda m: change.mag_mg_dl_per_h(m.grid), "mag"),
    Metric("mag_every_60_min_mg_dl_per_h", lambda m: change.mag_mg_dl_per_h(m.grid, every_min=60), "mag 60"),
    Metric("gvp_percent", lambda m: change.gvp_percent(m.grid), "gvp"),
    Metric("rate_sd_mg_dl_per_min", lambda m: change.rate_sd_mg_dl_per_min(m.grid), "sd_roc"),
    Metric("sd_within_days_mg_dl", lambda m: m.spread.within_days, "sd_measures SDw"),
    Metric("sd_of_profile_mg_dl", lambda m: m.spread.of_profile, "sd_measures SDhhmm"),
    Metric("sd_within_hour_mg_dl", lambda m: m.spread.within_hour, "sd_measures SDwsh"),
    Metric("sd_of_day_means_mg_dl", lambda m: m.spread.of_day_means, "sd_measures SDdm"),
    Metric("sd_between_days_mg_dl", lambda m: m.spread.between_days, "sd_measures SDb"),
    Metric("sd_between_days_levelled_mg_dl", lambda m: m.spread.between_days_levelled, "sd_measures SDbdm"),
    Metric("cv_of_days_mean_percent", lambda m: m.spread.cv_mean_percent, "cv_measures CVmean"),
    Metric("cv_of_days_sd_percent", lambda m: m.spread.cv_sd_percent, "cv_measures CVsd"),
    Metric("auc_mg_dl", lambda m: auc_mg_dl(m.grid), "auc"),
)

METRICS: Final = (*_LEVELS, *_RANGES, *_INDICES, *_VARIATION)
"""All of them, in the order in which they are shown."""


def measured(material: Material, *, tell_all: bool = False) -> dict[str, Floats]:
    """Every metric by name (p,); NaN where it has no value. What there is not enough data for (WITHHELD) is NaN as
    well, but for `tell_all`.

    >>> measured(Material(every(5, [100.0, 110.0])))["mean_mg_dl"].tolist()
    [105.0]
    """
    values = {metric.name: metric.of(material) for metric in METRICS}
    if not tell_all:
        for name in WITHHELD:
            values[name] = np.where(material.sufficiency.enough, values[name], np.nan)
    return values
