/*
name = "no_data_followers"
title = "No data (followers)"
description = "No reading has come for 15 minutes; ends with the next one. For those who look after somebody from afar."
severity = "technical"
enabled = "all"
audience = ["followers"]
switch_off = "patient"
sources = [
  "15 minutes for followers: Sugarmate's no new readings (vendor's help page); those far away see less than the wearer.",
]

[titles]
zh-CN = "无数据（关注者）"

[descriptions]
zh-CN = "15 分钟没有收到读数；收到下一个读数时结束。适用于远程关注患者的人。"
*/
SELECT patient, device, ts
FROM last_readings
WHERE minutes_since >= 15
