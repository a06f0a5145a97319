/*
name = "battery_low"
title = "Battery low"
description = "The battery of the patient's device is below the limit; ends 10 % above it."
severity = "technical"
enabled = "all"
audience = ["patient"]
switch_off = "patient"
clear = "battery_percent >= battery_low_percent + 10"
sources = [
  "20 %: our choice; it is what phones warn at, and leaves a phone some hours.",
]

[parameters.battery_low_percent]
default = 20
min = 5
max = 50
unit = "%"
decimals = 0
label = "Battery limit"
labels = { zh-CN = "电量限值" }

[titles]
zh-CN = "电池电量低"

[descriptions]
zh-CN = "患者设备的电量低于限值；高出限值 10 个百分点时结束。"
*/
SELECT patient, device, ts, battery_percent
FROM device_readings
JOIN patients USING (patient)
WHERE battery_percent < battery_low_percent
