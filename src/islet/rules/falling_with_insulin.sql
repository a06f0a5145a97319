/*
name = "falling_with_insulin"
title = "Falling with insulin"
description = "Glucose is below the limit and falls by 1 mg/dL or more a minute while insulin of boluses is still to act."
severity = "notice"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "glucose_mg_dl >= falling_with_insulin_mg_dl + 10 OR n < 3 OR rate_mg_dl_per_min > -0.5"
worsens = "low"
sources = [
  "Our choice throughout: 1 mg/dL a minute from 120 mg/dL is low in 50 minutes.",
  "Insulin on board: each bolus by the curve of a rapid analogue that the portal has (exponential, 6 hours, peak at 75 minutes), its share that is left to the nearest sixth: the six windows end where it passes 11/12, 9/12, 7/12, 5/12, 3/12 and 1/12.",
  "Of premixed insulin the part that acts within hours is a bolus, and insulin without a known name that is not said to be basal; regular insulin acts for longer than this curve says.",
]

[parameters.on_board_u]
default = 1
min = 0.1
max = 20
unit = "U"
label = "Insulin that counts as on board"
labels = { zh-CN = "视为有活性胰岛素的最低量" }

[parameters.falling_with_insulin_mg_dl]
default = 120
min = 80
max = 180
unit = "mg/dL"
label = "Limit with insulin on board"
labels = { zh-CN = "有活性胰岛素时的限值" }

[titles]
zh-CN = "有活性胰岛素时血糖下降"

[descriptions]
zh-CN = "餐时或校正胰岛素仍在起作用时，血糖低于限值且每分钟下降 1 mg/dL 或以上。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '33' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_33_min_u,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '65' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_65_min_u,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '95' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_95_min_u,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '127' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_127_min_u,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '167' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_167_min_u,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '233' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_233_min_u,
    REGR_SLOPE(glucose_mg_dl, time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS rate_mg_dl_per_min,
    COUNT(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS n
  FROM timeline
) AS recent
JOIN patients USING (patient)
WHERE COALESCE(bolus_33_min_u, 0) + COALESCE(bolus_65_min_u, 0) + COALESCE(bolus_95_min_u, 0)
    + COALESCE(bolus_127_min_u, 0) + COALESCE(bolus_167_min_u, 0) + COALESCE(bolus_233_min_u, 0) >= 6 * on_board_u
  AND glucose_mg_dl < falling_with_insulin_mg_dl
  AND n >= 3
  AND rate_mg_dl_per_min <= -1
