/*
name = "rising_3"
title = "Rising 3 mg/dL a minute"
description = "Over 15 minutes glucose rises by 3 mg/dL or more a minute (least squares); ends below 2.5 mg/dL a minute."
severity = "notice"
enabled = "nobody"
audience = ["patient"]
switch_off = "patient"
clear = "elapsed_min < 9 OR rate_mg_dl_per_min < 2.5"
sources = [
  "3 mg/dL a minute, off until switched on: the rate alerts of the Dexcom G5 and G7 (user guides).",
  "The slope of 15 minutes instead of the last difference: our choice; two readings are mostly noise. At least 9 minutes of it.",
  "Clear at half a mg/dL less: our choice.",
]

[titles]
zh-CN = "每分钟上升 3 mg/dL"

[descriptions]
zh-CN = "15 分钟内血糖以每分钟 3 mg/dL 或更快的速度上升（最小二乘）；低于每分钟 2.5 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    REGR_SLOPE(glucose_mg_dl, time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS rate_mg_dl_per_min,
    time_min - MIN(time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS elapsed_min
  FROM readings
) AS recent
WHERE elapsed_min >= 9 AND rate_mg_dl_per_min >= 3
