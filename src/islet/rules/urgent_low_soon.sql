/*
name = "urgent_low_soon"
title = "Urgent low soon"
description = "Glucose is foretold to be at or below 55 mg/dL within 20 minutes; ends when 60 mg/dL or more are foretold."
severity = "warning"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "clinician"
clear = "(glucose_in_10_min_mg_dl >= 60 AND glucose_in_20_min_mg_dl >= 60) OR glucose_in_20_min_mg_dl IS NULL"
worsens = "urgent_low"
sources = [
  "55 mg/dL within 20 minutes: the Urgent Low Soon alert of Dexcom's sensors (vendor's FAQ).",
  "Clear at a foretold 60: our choice, the same hysteresis as urgent_low.",
]

[titles]
zh-CN = "即将紧急低血糖"

[descriptions]
zh-CN = "预测 20 分钟内血糖不高于 55 mg/dL；预测回到 60 mg/dL 及以上时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM forecasts
WHERE glucose_in_10_min_mg_dl <= 55 OR glucose_in_20_min_mg_dl <= 55
