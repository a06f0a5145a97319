/*
name = "urgent_low"
title = "Urgent low"
description = "Glucose is at or below 55 mg/dL (3.1 mmol/L); ends at 60 mg/dL."
severity = "urgent"
enabled = "all"
audience = ["patient", "followers", "clinician"]
switch_off = "nobody"
clear = "glucose_mg_dl >= 60"
sources = [
  "Threshold 55 mg/dL (3.1 mmol/L): the fixed urgent low alarm of the Dexcom G5 (user guide, p. 208) and G7; it cannot be switched off there either.",
  "Clear at 60: our choice, 5 mg/dL of hysteresis, so that sensor noise around 55 makes one episode and not many.",
]

[titles]
zh-CN = "紧急低血糖"

[descriptions]
zh-CN = "血糖等于或低于 55 mg/dL（3.1 mmol/L）；回到 60 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
WHERE glucose_mg_dl <= 55
