"""What each metric is, in a sentence, and where it is from: goes with the numbers, so that they need no other page.

g is glucose in mg/dL, SD a sample's; `docs/explanation/metrics.md` says the rest (grid, days, episodes, MAGE).
"""

from typing import Final

_CONSENSUS: Final = "doi:10.2337/dci19-0028"
_SPREAD: Final = "doi:10.1089/dia.2009.0015"
_CONGA: Final = "doi:10.1089/dia.2005.7.253"
_MAGE: Final = "doi:10.1177/19322968211061165"
_GRADE: Final = "doi:10.1111/j.1464-5491.2007.02119.x"
_GRI: Final = "doi:10.1177/19322968221085273"
_RISK: Final = "doi:10.2337/diacare.20.11.1655"
_INDEX: Final = "doi:10.1089/dia.2008.0132"
_CV_OF_DAYS: Final = "doi:10.1016/j.amjms.2018.09.010"
_QUANTILE: Final = "doi:10.1080/00031305.1996.10473566"
_MAG: Final = "doi:10.1097/CCM.0b013e3181cc4be9"
_TWO_AVERAGES: Final = "two moving averages (25 and 160 min) cut each stretch; rises and falls of at least one SD count"

DEFINITIONS: Final[dict[str, tuple[str, str]]] = {
    "mean_mg_dl": ("mean of all readings", ""),
    "median_mg_dl": ("median of all readings", ""),
    "least_mg_dl": ("least reading", ""),
    "quantile_05_mg_dl": ("5 % quantile, type 7", _QUANTILE),
    "quantile_25_mg_dl": ("25 % quantile, type 7", _QUANTILE),
    "quantile_75_mg_dl": ("75 % quantile, type 7", _QUANTILE),
    "quantile_95_mg_dl": ("95 % quantile, type 7", _QUANTILE),
    "greatest_mg_dl": ("greatest reading", ""),
    "sd_mg_dl": ("standard deviation of a sample (n - 1)", ""),
    "cv_percent": ("100 SD / mean", "doi:10.2337/dc17-1600"),
    "iqr_mg_dl": ("75 % less 25 % quantile", ""),
    "mad_mg_dl": ("1.4826 times the median of |g - median|", ""),
    "range_mg_dl": ("greatest less least reading", ""),
    "gmi_percent": ("3.31 + 0.02392 mean", "doi:10.2337/dc18-1581"),
    "ea1c_percent": ("(mean + 46.7) / 28.7", "doi:10.2337/dc08-0545"),
    "below_54_percent": ("share of readings below 54 (3.0 mmol/L)", _CONSENSUS),
    "below_70_percent": ("share of readings below 70 (3.9 mmol/L)", _CONSENSUS),
    "in_range_70_180_percent": ("share of readings from 70 to 180, both included (3.9 to 10.0 mmol/L)", _CONSENSUS),
    "in_range_70_140_percent": ("share of readings from 70 to 140, both included (3.9 to 7.8 mmol/L)", ""),
    "in_range_63_140_percent": ("share of readings from 63 to 140, both included (3.5 to 7.8 mmol/L)", _CONSENSUS),
    "above_140_percent": ("share of readings above 140 (7.8 mmol/L)", _CONSENSUS),
    "above_180_percent": ("share of readings above 180 (10.0 mmol/L)", _CONSENSUS),
    "above_250_percent": ("share of readings above 250 (13.9 mmol/L)", _CONSENSUS),
    "gri": ("min(100, 3.0 hypo + 1.6 hyper component); zone A to 20, B to 40, C to 60, D to 80, then E", _GRI),
    "gri_hypo_component_percent": ("share below 54 + 0.8 times share from 54 to below 70", _GRI),
    "gri_hyper_component_percent": ("share above 250 + 0.5 times share above 180 to 250", _GRI),
    "lbgi": ("mean of 10 f² where f < 0, else 0; f = 1.509 (ln(g)^1.084 - 5.381)", _RISK),
    "hbgi": ("mean of 10 f² where f > 0, else 0; f = 1.509 (ln(g)^1.084 - 5.381)", _RISK),
    "adrr": ("greatest low risk + greatest high risk of each calendar day, mean of days", "doi:10.2337/dc06-1085"),
    "grade": ("mean of min(50, 425 (log10 log10(g / 18) + 0.16)²)", _GRADE),
    "grade_hypo_percent": ("share of the summed GRADE below 80", _GRADE),
    "grade_eu_percent": ("share of the summed GRADE from 70 to 140", _GRADE),
    "grade_hyper_percent": ("share of the summed GRADE above 140", _GRADE),
    "hypo_index": ("sum of (80 - g)² below 80, over 30 n", _INDEX),
    "hyper_index": ("sum of (g - 140)^1.1 above 140, over 30 n", _INDEX),
    "igc": ("hypo index + hyper index", _INDEX),
    "j_index": ("0.001 (mean + SD)²", "doi:10.1055/s-2007-979906"),
    "m_value": ("mean of 1000 |log10(g / 90)|³", "doi:10.1111/j.0954-6820.1965.tb01810.x"),
    "cogi": ("50 % time in range, 35 % time below 70 (to 15 %), 15 % SD (18 to 108)", "doi:10.1177/1932296819838525"),
    "pgs": ("sum of functions of GVP, mean, time in range, and low episodes a week", "doi:10.1089/dia.2017.0080"),
    "mage_service_mg_dl": (f"mean excursion in the direction of the first one; {_TWO_AVERAGES}", _MAGE),
    "mage_average_mg_dl": (f"mean of all excursions that segments have; {_TWO_AVERAGES}", _MAGE),
    "mage_greatest_mg_dl": (f"greater of rise and fall of each segment that has both; {_TWO_AVERAGES}", _MAGE),
    "mage_plus_mg_dl": (f"mean rise; {_TWO_AVERAGES}", _MAGE),
    "mage_minus_mg_dl": (f"mean fall; {_TWO_AVERAGES}", _MAGE),
    "mage_naive_mg_dl": ("mean of |g - mean| of readings beyond one SD; looks at no order", ""),
    "modd_mg_dl": ("mean of |g(t) - g(t - 24 h)|", "doi:10.2337/diacare.3.1.58"),
    "conga_1_h_mg_dl": ("SD of g(t) - g(t - 1 h)", _CONGA),
    "conga_2_h_mg_dl": ("SD of g(t) - g(t - 2 h)", _CONGA),
    "conga_4_h_mg_dl": ("SD of g(t) - g(t - 4 h)", _CONGA),
    "conga_24_h_mg_dl": ("SD of g(t) - g(t - 24 h)", _CONGA),
    "mag_mg_dl_per_h": ("sum of |change| from point to point over hours", _MAG),
    "mag_every_60_min_mg_dl_per_h": ("sum of |change| from hour to hour over hours", _MAG),
    "gvp_percent": ("100 (length of the trace over its duration - 1), min and mg/dL", "doi:10.1089/dia.2017.0187"),
    "rate_sd_mg_dl_per_min": ("SD of (g(t) - g(t - 15 min)) / 15", "doi:10.1089/dia.2008.0138"),
    "sd_within_days_mg_dl": ("mean of each day's SD", _SPREAD),
    "sd_of_profile_mg_dl": ("SD of the mean at each time of day", _SPREAD),
    "sd_within_hour_mg_dl": ("mean of the SD of every window of one hour", _SPREAD),
    "sd_of_day_means_mg_dl": ("SD of the days' means", _SPREAD),
    "sd_between_days_mg_dl": ("mean of the SD across days at each time of day", _SPREAD),
    "sd_between_days_levelled_mg_dl": ("the same less each day's mean", _SPREAD),
    "cv_of_days_mean_percent": ("mean of each day's CV", _CV_OF_DAYS),
    "cv_of_days_sd_percent": ("SD of each day's CV", _CV_OF_DAYS),
    "auc_mg_dl": ("trapezoids of each day over its hours, mean of days", "doi:10.1371/journal.pone.0248560"),
}
"""By the metric's name (METRICS): what it is, and its source, "" where it needs none."""
