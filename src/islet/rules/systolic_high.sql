/*
name = "systolic_high"
title = "Systolic pressure high"
description = "The systolic blood pressure is above the limit; ends 10 mmHg below it."
severity = "warning"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "clinician"
clear = "systolic_mm_hg <= systolic_high_mm_hg - 10"
sources = [
  "doi:10.1161/HYP.0000000000000065 (ACC/AHA 2017): a hypertensive crisis is above 180 mmHg systolic or above 120 mmHg diastolic.",
  "Clear 10 mmHg below: our choice; one measurement to the next differs by that much.",
]

[parameters.systolic_high_mm_hg]
default = 180
min = 120
max = 220
unit = "mmHg"
decimals = 0
label = "Upper systolic limit"
labels = { zh-CN = "收缩压上限" }

[titles]
zh-CN = "收缩压过高"

[descriptions]
zh-CN = "收缩压高于限值；比限值低 10 mmHg 时结束。"
*/
SELECT patient, device, ts, systolic_mm_hg
FROM vitals
JOIN patients USING (patient)
WHERE systolic_mm_hg > systolic_high_mm_hg
