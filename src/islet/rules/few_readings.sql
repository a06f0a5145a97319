/*
name = "few_readings"
title = "Too few measurements"
description = "Yesterday there were fewer readings than agreed. For people who measure by themselves."
severity = "notice"
enabled = "tags:self_measuring"
audience = ["patient"]
switch_off = "patient"
every = "1 day"
sources = [
  "Our choice: four measurements a day, before meals and at bedtime. Only for people tagged self_measuring.",
  "It looks at the whole day; a single prompt that was not answered is the rule missed_prompt.",
]

[parameters.agreed_readings]
default = 4
min = 1
max = 24
unit = ""
decimals = 0
label = "Measurements a day"
labels = { zh-CN = "每日测量次数" }

[titles]
zh-CN = "测量次数少于约定"

[descriptions]
zh-CN = "昨天的读数少于约定次数。适用于自行测量者。"
*/
SELECT patients.patient AS patient, MAX(day_end_ts) AS ts
FROM patients
LEFT JOIN readings ON readings.patient = patients.patient AND CAST(readings.local_ts AS DATE) = patients.today
GROUP BY patients.patient
HAVING COUNT(readings.ts) < MAX(agreed_readings)
