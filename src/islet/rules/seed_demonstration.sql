/*
name = "seed_demonstration"
title = "Demonstration rule"
description = "Glucose is above 115 mg/dL, or its average of 10 minutes above 105 mg/dL. Has no clinical meaning."
severity = "notice"
enabled = "tags:simulated"
audience = ["operator"]
switch_off = "administrator"
sources = [
  "The rule of the demonstration that Islet grew from. It has no clinical meaning and is off for real patients.",
]

[titles]
zh-CN = "演示规则"

[descriptions]
zh-CN = "血糖高于 115 mg/dL，或 10 分钟平均值高于 105 mg/dL。无临床意义。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, glucose_mg_dl,
    AVG(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    ) AS average_10_min
  FROM readings
) AS recent
WHERE glucose_mg_dl > 115 OR average_10_min > 105
