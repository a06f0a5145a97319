/*
name = "pulse_high"
title = "Pulse high"
description = "The pulse is above the limit; ends 10 bpm below it."
severity = "warning"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "clinician"
clear = "pulse_bpm <= pulse_high_bpm - 10"
sources = [
  "NEWS2 (Royal College of Physicians, 2017) gives its highest score to a pulse above 130 per minute. For somebody at rest; a measurement during exercise may differ.",
  "Clear 10 bpm below: our choice; one measurement to the next differs by that much.",
]

[parameters.pulse_high_bpm]
default = 130
min = 90
max = 220
unit = "bpm"
decimals = 0
label = "Upper limit of the pulse"
labels = { zh-CN = "脉搏上限" }

[titles]
zh-CN = "脉搏过快"

[descriptions]
zh-CN = "脉搏高于限值；比限值低 10 次/分时结束。"
*/
SELECT patient, device, ts, pulse_bpm
FROM vitals
JOIN patients USING (patient)
WHERE pulse_bpm > pulse_high_bpm
