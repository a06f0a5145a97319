/*
name = "high"
title = "High glucose"
description = "Glucose is above the high alarm limit; ends 10 mg/dL below it."
severity = "warning"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "patient"
clear = "glucose_mg_dl <= high_alarm_mg_dl - 10"
sources = [
  "Default 250 mg/dL (13.9 mmol/L): level 2 hyperglycaemia, doi:10.2337/dci19-0028; default of the Dexcom G7. Range 120 to 400: our choice, the upper half of what sensors show.",
  "Clear 10 mg/dL below: our choice; sensor noise grows with the value.",
]

[parameters.high_alarm_mg_dl]
default = 250
min = 120
max = 400
unit = "mg/dL"
label = "High alarm limit"
labels = { zh-CN = "高血糖警报限值" }

[titles]
zh-CN = "高血糖"

[descriptions]
zh-CN = "血糖高于高血糖警报限值；比限值低 10 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
JOIN patients USING (patient)
WHERE glucose_mg_dl > high_alarm_mg_dl
