/*
name = "systolic_low"
title = "Systolic pressure low"
description = "The systolic blood pressure is at or below the limit; ends 10 mmHg above it."
severity = "warning"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "clinician"
clear = "systolic_mm_hg >= systolic_low_mm_hg + 10"
sources = [
  "NEWS2 (Royal College of Physicians, 2017) gives its highest score to a systolic pressure of 90 mmHg or less. For somebody at rest; a measurement during exercise may differ.",
  "Clear 10 mmHg above: our choice; one measurement to the next differs by that much.",
]

[parameters.systolic_low_mm_hg]
default = 90
min = 70
max = 110
unit = "mmHg"
decimals = 0
label = "Lower systolic limit"
labels = { zh-CN = "收缩压下限" }

[titles]
zh-CN = "收缩压过低"

[descriptions]
zh-CN = "收缩压等于或低于限值；高出限值 10 mmHg 时结束。"
*/
SELECT patient, device, ts, systolic_mm_hg
FROM vitals
JOIN patients USING (patient)
WHERE systolic_mm_hg <= systolic_low_mm_hg
