/*
name = "urgent_low_soon"
title = "Urgent low soon"
description = "With a chance of one in four or more, glucose is foretold to be at or below 55 mg/dL within 20 minutes; ends when 60 mg/dL or more are foretold. A forecast: dosing decisions are not to be made from it."
severity = "warning"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "clinician"
clear = "(glucose_in_10_min_p25_mg_dl >= 60 AND glucose_in_20_min_p25_mg_dl >= 60) OR glucose_in_20_min_p25_mg_dl IS NULL"
worsens = "urgent_low"
sources = [
  "55 mg/dL within 20 minutes: the Urgent Low Soon alert of Dexcom's sensors (vendor's FAQ).",
  "One chance in four (the lower quartile of the forecast): our choice, measured on people with type 1 whom the model was calibrated on: as many lows foretold as by a damped slope, with four in seven of its false alarms; the median foretold a quarter of them.",
  "Clear at a foretold 60: our choice, the same hysteresis as urgent_low. It ends as well where nothing is foretold any more.",
]

[titles]
zh-CN = "即将紧急低血糖"

[descriptions]
zh-CN = "预测 20 分钟内血糖不高于 55 mg/dL 的可能性不小于四分之一；预测回到 60 mg/dL 及以上时结束。此为预测，不得据此决定用药剂量。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM forecasts
WHERE glucose_in_10_min_p25_mg_dl <= 55 OR glucose_in_20_min_p25_mg_dl <= 55
