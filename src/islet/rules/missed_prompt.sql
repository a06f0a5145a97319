/*
name = "missed_prompt"
title = "Measurement missed"
description = "The patient was prompted to measure and did not do it in time; ends with the next answered prompt."
severity = "notice"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "prompt = 'measured'"
sources = [
  "Our choice: devices prompt only those with a schedule, and the time to answer is in that schedule (`islet agent`).",
]

[titles]
zh-CN = "未按提示测量"

[descriptions]
zh-CN = "设备已提示测量，但患者未在规定时间内测量；下一次按提示测量后结束。"
*/
SELECT patient, device, ts, prompt
FROM device_readings
WHERE prompt = 'missed'
