/*
name = "tir_drop"
title = "Time in range dropped"
description = "Time in range of the last 14 days is below that of the 14 days before by the limit or more."
severity = "notice"
enabled = "all"
audience = ["clinician"]
switch_off = "clinician"
every = "1 day"
sources = [
  "15 points: the size of drop that clinic dashboards sort to the top; our choice of the number. 5 points are clinically meaningful already (doi:10.2337/dci19-0028).",
  "Seven days with readings in each period: our choice.",
]

[parameters.tir_drop_points]
default = 15
min = 5
max = 50
unit = "%"
decimals = 0
label = "Drop of time in range"
labels = { zh-CN = "目标范围内时间下降幅度" }

[titles]
zh-CN = "目标范围内时间下降"

[descriptions]
zh-CN = "近 14 天目标范围内时间比之前 14 天下降的百分点达到限值。"
*/
SELECT patients.patient AS patient, MAX(day_end_ts) AS ts
FROM patients
JOIN days ON days.patient = patients.patient AND days.day <= patients.today AND days.day > patients.today - 28
GROUP BY patients.patient
HAVING SUM(CASE WHEN day > today - 14 THEN 1 ELSE 0 END) >= 7
  AND SUM(CASE WHEN day <= today - 14 THEN 1 ELSE 0 END) >= 7
  AND SUM(CASE WHEN day <= today - 14 THEN tir_percent * readings ELSE 0 END)
    / SUM(CASE WHEN day <= today - 14 THEN readings ELSE 0 END)
    - SUM(CASE WHEN day > today - 14 THEN tir_percent * readings ELSE 0 END)
    / SUM(CASE WHEN day > today - 14 THEN readings ELSE 0 END) >= MAX(tir_drop_points)
