/*
name = "sticky_high"
title = "High and flat"
description = "For two hours glucose has been more than 60 mg/dL above the target range and hardly moved; ends 50 mg/dL above it."
severity = "notice"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "patient"
clear = "glucose_mg_dl <= high_mg_dl + 50"
sources = [
  "More than 60 mg/dL above the upper limit and flat for 2 hours: Sugarmate's steady and high (vendor's help page). The upper limit is that of the patient's target range.",
  "Flat means a range of at most 60 mg/dL, and 110 minutes with 8 readings count as two hours: our choice, so that a gap of one reading does not hide it.",
  "Clear 50 mg/dL above the target range: our choice, 10 mg/dL of hysteresis.",
]

[parameters.flat_mg_dl]
default = 60
min = 20
max = 150
unit = "mg/dL"
label = "Range that still counts as flat"
labels = { zh-CN = "视为无变化的范围" }

[titles]
zh-CN = "持续高血糖"

[descriptions]
zh-CN = "血糖连续两小时比目标范围上限高出 60 mg/dL 以上且几乎不变；降至高出上限 50 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    MIN(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS lowest_2_h_mg_dl,
    MAX(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS highest_2_h_mg_dl,
    COUNT(*) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS n,
    time_min - MIN(time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS elapsed_min
  FROM readings
) AS recent
JOIN patients USING (patient)
WHERE elapsed_min >= 110 AND n >= 8
  AND lowest_2_h_mg_dl > high_mg_dl + 60
  AND highest_2_h_mg_dl - lowest_2_h_mg_dl <= flat_mg_dl
