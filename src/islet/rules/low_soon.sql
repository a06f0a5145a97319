/*
name = "low_soon"
title = "Low soon"
description = "Glucose is not yet below the low alarm limit, and with a chance of one in four or more foretold to be below it within 20 minutes. A forecast: dosing decisions are not to be made from it."
severity = "notice"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "glucose_mg_dl < low_alarm_mg_dl OR glucose_in_20_min_p25_mg_dl >= low_alarm_mg_dl + 10 OR glucose_in_20_min_p25_mg_dl IS NULL"
worsens = "low"
sources = [
  "20 minutes: as urgent_low_soon. A notice that pages nobody is our choice: forecasts are wrong more often than readings.",
  "One chance in four (the lower quartile of the forecast): as urgent_low_soon.",
  "Clear 10 mg/dL above the limit: our choice, twice the hysteresis of low, because forecasts move more. It ends as well where nothing is foretold any more.",
]

[titles]
zh-CN = "即将发生低血糖"

[descriptions]
zh-CN = "血糖尚未低于低血糖警报限值，但 20 分钟内低于该限值的可能性达到四分之一。此为预测，不得据此决定用药剂量。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM forecasts
JOIN patients USING (patient)
WHERE glucose_mg_dl >= low_alarm_mg_dl
  AND (glucose_in_10_min_p25_mg_dl < low_alarm_mg_dl OR glucose_in_20_min_p25_mg_dl < low_alarm_mg_dl)
