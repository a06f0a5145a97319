/*
name = "impossible_jump"
title = "Impossible jump"
description = "Two readings less than 16 minutes apart differ by more than 30 mg/dL and 8 mg/dL a minute; ends with the next reading that fits."
severity = "technical"
enabled = "all"
audience = ["operator", "clinician"]
switch_off = "administrator"
sources = [
  "Our choice: glucose seldom moves by more than 4 mg/dL a minute; twice that, and 30 mg/dL for noise and for another device, is not glucose.",
]

[titles]
zh-CN = "读数异常跳变"

[descriptions]
zh-CN = "相隔不到 16 分钟的两个读数之差超过 30 mg/dL 且超过每分钟 8 mg/dL；下一个正常读数出现时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts) AS previous_mg_dl,
    time_min - LAG(time_min) OVER (PARTITION BY patient ORDER BY ts) AS since_min
  FROM readings
) AS recent
WHERE since_min < 16 AND ABS(glucose_mg_dl - previous_mg_dl) > 30 + 8 * since_min
