/*
name = "low_after_exercise"
title = "Near low after exercise"
description = "Within six hours after half an hour or more of exercise glucose is below the limit; ends 10 mg/dL above it."
severity = "notice"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "glucose_mg_dl >= after_exercise_mg_dl + 10"
worsens = "low"
sources = [
  "Risk of low glucose in the hours after exercise: doi:10.1016/S2213-8587(17)30014-1 (consensus on exercise in type 1 diabetes).",
  "Six hours, half an hour and 90 mg/dL: our choice, 20 mg/dL above the low alarm, early enough to eat.",
]

[parameters.after_exercise_mg_dl]
default = 90
min = 70
max = 130
unit = "mg/dL"
label = "Limit after exercise"
labels = { zh-CN = "运动后限值" }

[titles]
zh-CN = "运动后接近低血糖"

[descriptions]
zh-CN = "运动半小时或以上之后的六小时内，血糖低于限值；高出限值 10 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, glucose_mg_dl,
    SUM(exercise_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '360' MINUTE PRECEDING AND CURRENT ROW
    ) AS exercise_6_h_min
  FROM timeline
) AS recent
JOIN patients USING (patient)
WHERE exercise_6_h_min >= 30 AND glucose_mg_dl < after_exercise_mg_dl
