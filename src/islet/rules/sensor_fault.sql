/*
name = "sensor_fault"
title = "Sensor failed"
description = "The device says that its sensor has failed or expired; ends when it is well or warms up."
severity = "technical"
enabled = "all"
audience = ["patient", "followers"]
switch_off = "clinician"
clear = "status IN ('ok', 'warm_up')"
sources = [
  "What the device says of itself. Such alerts also sound in the quiet modes of common receivers (Dexcom G7 user guide, p. 56).",
]

[titles]
zh-CN = "传感器故障"

[descriptions]
zh-CN = "设备报告传感器故障或到期；恢复正常或开始预热时结束。"
*/
SELECT patient, device, ts, status
FROM device_readings
WHERE status IN ('sensor_failed', 'sensor_expired')
