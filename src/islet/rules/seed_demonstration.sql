/*
name = "seed_demonstration"
title = "Demonstration: above 115, or above 105 on average over 10 minutes"
severity = "notice"
enabled = "tags:simulated"
sources = ["The rule of the demonstration that Islet grew from. It has no clinical meaning and is off for real patients."]
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
