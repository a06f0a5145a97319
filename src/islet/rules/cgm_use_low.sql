/*
name = "cgm_use_low"
title = "Sensor worn too little"
description = "Over 14 days the sensor gave data for less of the time than the limit."
severity = "notice"
enabled = "all"
audience = ["clinician"]
switch_off = "clinician"
every = "1 day"
sources = [
  "70 % of 14 days: what a report needs to speak for a patient, doi:10.2337/dci19-0028.",
  "Patients of less than two weeks are left out: our choice; they cannot have worn it long enough.",
]

[parameters.cgm_use_percent]
default = 70
min = 30
max = 100
unit = "%"
decimals = 0
label = "Least use of the sensor"
labels = { zh-CN = "传感器最低使用率" }

[titles]
zh-CN = "传感器佩戴不足"

[descriptions]
zh-CN = "14 天内传感器有数据的时间占比低于限值。"
*/
SELECT patients.patient AS patient, MAX(day_end_ts) AS ts
FROM patients
JOIN days ON days.patient = patients.patient AND days.day <= patients.today
GROUP BY patients.patient
HAVING MIN(days.day) <= MAX(today) - 13
  AND SUM(CASE WHEN days.day > today - 14 THEN active_percent ELSE 0 END) / 14 < MAX(cgm_use_percent)
