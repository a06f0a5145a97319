/*
name = "low"
title = "Low glucose"
description = "Glucose is below the low alarm limit; ends 5 mg/dL above it."
severity = "warning"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "clinician"
clear = "glucose_mg_dl >= low_alarm_mg_dl + 5"
worsens = "urgent_low"
sources = [
  "Default 70 mg/dL (3.9 mmol/L): level 1 hypoglycaemia, doi:10.2337/dci19-0028; default of the Dexcom G7. Range 60 to 120: a device label's, from a secondary source.",
  "Clear 5 mg/dL above: our choice; 73 to 75 is also where alarms prevented most lows (PMID 31993548).",
]

[parameters.low_alarm_mg_dl]
default = 70
min = 60
max = 120
unit = "mg/dL"
label = "Low alarm limit"
labels = { zh-CN = "低血糖警报限值" }

[titles]
zh-CN = "低血糖"

[descriptions]
zh-CN = "血糖低于低血糖警报限值；高出限值 5 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
JOIN patients USING (patient)
WHERE glucose_mg_dl < low_alarm_mg_dl
