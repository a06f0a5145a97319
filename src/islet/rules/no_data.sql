/*
name = "no_data"
title = "No data"
description = "No reading has come for 20 minutes; ends with the next one."
severity = "technical"
enabled = "all"
audience = ["patient"]
switch_off = "clinician"
sources = [
  "20 minutes is when common sensors tell their wearer of signal loss; it is four missed 5-minute readings.",
]

[titles]
zh-CN = "无数据"

[descriptions]
zh-CN = "20 分钟没有收到读数；收到下一个读数时结束。"
*/
SELECT patient, device, ts
FROM last_readings
WHERE minutes_since >= 20
