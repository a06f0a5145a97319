/*
name = "diastolic_high"
title = "Diastolic pressure high"
description = "The diastolic blood pressure is above the limit; ends 5 mmHg below it."
severity = "warning"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "clinician"
clear = "diastolic_mm_hg <= diastolic_high_mm_hg - 5"
sources = [
  "doi:10.1161/HYP.0000000000000065 (ACC/AHA 2017): a hypertensive crisis is above 180 mmHg systolic or above 120 mmHg diastolic.",
  "Clear 5 mmHg below: our choice; one measurement to the next differs by that much.",
]

[parameters.diastolic_high_mm_hg]
default = 120
min = 80
max = 140
unit = "mmHg"
decimals = 0
label = "Upper diastolic limit"
labels = { zh-CN = "舒张压上限" }

[titles]
zh-CN = "舒张压过高"

[descriptions]
zh-CN = "舒张压高于限值；比限值低 5 mmHg 时结束。"
*/
SELECT patient, device, ts, diastolic_mm_hg
FROM vitals
JOIN patients USING (patient)
WHERE diastolic_mm_hg > diastolic_high_mm_hg
