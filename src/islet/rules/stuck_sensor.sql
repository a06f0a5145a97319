/*
name = "stuck_sensor"
title = "Sensor stuck"
description = "For an hour all readings have been exactly the same; ends when one differs."
severity = "technical"
enabled = "all"
audience = ["patient", "operator"]
switch_off = "administrator"
clear = "highest_1_h_mg_dl > lowest_1_h_mg_dl"
sources = [
  "Our choice: sensor noise alone moves a reading by some mg/dL in an hour, so ten equal ones are a fault of the device or of an export.",
  "40 and 400 mg/dL are left out: there most sensors only say LOW or HIGH.",
]

[parameters.stuck_readings]
default = 10
min = 4
max = 60
unit = ""
decimals = 0
label = "Equal readings in an hour"
labels = { zh-CN = "一小时内相同读数的个数" }

[titles]
zh-CN = "传感器数值不变"

[descriptions]
zh-CN = "一小时内所有读数完全相同；读数变化时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    MIN(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS lowest_1_h_mg_dl,
    MAX(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS highest_1_h_mg_dl,
    COUNT(*) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS n,
    time_min - MIN(time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS elapsed_min
  FROM readings
) AS recent
JOIN patients USING (patient)
WHERE n >= stuck_readings AND elapsed_min >= 50
  AND highest_1_h_mg_dl = lowest_1_h_mg_dl
  AND glucose_mg_dl > 40 AND glucose_mg_dl < 400
