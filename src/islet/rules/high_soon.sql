/*
name = "high_soon"
title = "High soon"
description = "Glucose is still at or below the high alarm limit, and with a chance of one in two or more foretold to be above it within 30 minutes. A forecast: dosing decisions are not to be made from it."
severity = "notice"
enabled = "nobody"
audience = ["patient"]
switch_off = "patient"
clear = "glucose_mg_dl > high_alarm_mg_dl OR glucose_in_30_min_mg_dl <= high_alarm_mg_dl - 10 OR glucose_in_30_min_mg_dl IS NULL"
worsens = "high"
sources = [
  "Off until somebody switches it on, and one chance in two (the middle one of the forecast): our choice; a high can wait. Measured on people with type 1: 0.2 false alarms a day, two true ones to each, and two in five of the highs foretold.",
  "30 minutes: our choice, half of what is foretold.",
  "Clear 10 mg/dL below the limit: our choice, the same hysteresis as high. It ends as well where nothing is foretold any more.",
]

[titles]
zh-CN = "即将发生高血糖"

[descriptions]
zh-CN = "血糖尚未高于高血糖警报限值，但 30 分钟内高于该限值的可能性达到二分之一。此为预测，不得据此决定用药剂量。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM forecasts
JOIN patients USING (patient)
WHERE glucose_mg_dl <= high_alarm_mg_dl
  AND (glucose_in_20_min_mg_dl > high_alarm_mg_dl OR glucose_in_30_min_mg_dl > high_alarm_mg_dl)
