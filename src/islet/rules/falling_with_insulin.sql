/*
name = "falling_with_insulin"
title = "Falling with insulin"
description = "Glucose is below the limit and falls by 1 mg/dL or more a minute within three hours after a bolus."
severity = "notice"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "glucose_mg_dl >= falling_with_insulin_mg_dl + 10 OR n < 3 OR rate_mg_dl_per_min > -0.5"
worsens = "low"
sources = [
  "Our choice throughout: rapid insulin acts for 3 to 5 hours, most of it within 3; 1 mg/dL a minute from 120 mg/dL is low in 50 minutes.",
  "Insulin on board is taken as all boluses of 3 hours; the share that has acted already is not subtracted.",
]

[parameters.on_board_u]
default = 1
min = 0.1
max = 20
unit = "U"
label = "Insulin that counts as on board"
labels = { zh-CN = "视为活性胰岛素的剂量" }

[parameters.falling_with_insulin_mg_dl]
default = 120
min = 80
max = 180
unit = "mg/dL"
label = "Limit with insulin on board"
labels = { zh-CN = "有活性胰岛素时的限值" }

[titles]
zh-CN = "有胰岛素时下降"

[descriptions]
zh-CN = "注射餐时胰岛素后三小时内，血糖低于限值且每分钟下降 1 mg/dL 及以上。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '180' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_3_h_u,
    REGR_SLOPE(glucose_mg_dl, time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS rate_mg_dl_per_min,
    COUNT(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS n
  FROM timeline
) AS recent
JOIN patients USING (patient)
WHERE bolus_3_h_u >= on_board_u
  AND glucose_mg_dl < falling_with_insulin_mg_dl
  AND n >= 3
  AND rate_mg_dl_per_min <= -1
