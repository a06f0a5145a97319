/*
name = "pulse_low"
title = "Pulse low"
description = "The pulse is at or below the limit; ends 5 bpm above it."
severity = "warning"
enabled = "all"
audience = ["patient", "clinician"]
switch_off = "clinician"
clear = "pulse_bpm >= pulse_low_bpm + 5"
sources = [
  "NEWS2 (Royal College of Physicians, 2017) gives its highest score to a pulse of 40 per minute or less. For somebody at rest; a measurement during exercise may differ.",
  "Clear 5 bpm above: our choice; one measurement to the next differs by that much.",
]

[parameters.pulse_low_bpm]
default = 40
min = 30
max = 60
unit = "bpm"
decimals = 0
label = "Lower limit of the pulse"
labels = { zh-CN = "脉搏下限" }

[titles]
zh-CN = "脉搏过慢"

[descriptions]
zh-CN = "脉搏等于或低于限值；高出限值 5 次/分时结束。"
*/
SELECT patient, device, ts, pulse_bpm
FROM vitals
JOIN patients USING (patient)
WHERE pulse_bpm <= pulse_low_bpm
