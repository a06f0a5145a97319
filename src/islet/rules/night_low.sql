/*
name = "night_low"
title = "Low at night"
description = "Between midnight and 6 in the morning, local time, glucose has been below the low alarm limit for 15 minutes; ends 5 mg/dL above it."
severity = "urgent"
enabled = "all"
audience = ["followers", "patient"]
switch_off = "clinician"
clear = "glucose_mg_dl >= low_alarm_mg_dl + 5"
worsens = "urgent_low"
sources = [
  "15 minutes below the limit make a hypoglycaemic event: doi:10.2337/dci19-0028. At night nobody answered the first alarm by then.",
  "0 to 6 local time: the night of the same consensus' reports. A window of 16 minutes, of which 14 have to be there: our choice, for readings that come every 5 minutes, more or less.",
]

[titles]
zh-CN = "夜间低血糖"

[descriptions]
zh-CN = "当地时间 0 点至 6 点，血糖低于低血糖警报限值达 15 分钟；高出限值 5 mg/dL 时结束。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, local_ts, time_min, glucose_mg_dl,
    MAX(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '16' MINUTE PRECEDING AND CURRENT ROW
    ) AS highest_15_min_mg_dl,
    time_min - MIN(time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '16' MINUTE PRECEDING AND CURRENT ROW
    ) AS elapsed_min
  FROM readings
) AS recent
JOIN patients USING (patient)
WHERE EXTRACT(HOUR FROM local_ts) < 6
  AND elapsed_min >= 14
  AND highest_15_min_mg_dl < low_alarm_mg_dl
