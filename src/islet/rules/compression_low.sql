/*
name = "compression_low"
title = "Perhaps a pressed sensor"
description = "At night glucose fell below 70 mg/dL and was back within the hour, by 25 mg/dL or more both ways: perhaps somebody lay on the sensor."
severity = "notice"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "patient"
sources = [
  "Our choice throughout: nights, a fast fall and a rebound without food are how compression artefacts are told apart in reviews of CGM traces. It is a hint for whoever reads the curve afterwards, and silences no alarm.",
]

[titles]
zh-CN = "疑似传感器受压"

[descriptions]
zh-CN = "夜间血糖降至 70 mg/dL 以下并在一小时内恢复，下降和回升均达 25 mg/dL 或以上：可能躺卧时压住了传感器。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, local_ts, glucose_mg_dl,
    MIN(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS lowest_1_h_mg_dl,
    FIRST_VALUE(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '60' MINUTE PRECEDING AND CURRENT ROW
    ) AS first_1_h_mg_dl
  FROM readings
) AS recent
WHERE (EXTRACT(HOUR FROM local_ts) < 8 OR EXTRACT(HOUR FROM local_ts) >= 22)
  AND lowest_1_h_mg_dl < 70
  AND first_1_h_mg_dl >= 80
  AND first_1_h_mg_dl - lowest_1_h_mg_dl >= 25
  AND glucose_mg_dl >= 80
  AND glucose_mg_dl - lowest_1_h_mg_dl >= 25
