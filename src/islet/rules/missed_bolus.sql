/*
name = "missed_bolus"
title = "Meal without insulin"
description = "A meal 15 to 90 minutes ago, no bolus in two hours, and glucose rises by 1 mg/dL or more a minute."
severity = "notice"
enabled = "tags:mealtime_insulin"
audience = ["patient"]
switch_off = "patient"
clear = "bolus_2_h_u > 0 OR n < 3 OR rate_mg_dl_per_min < 0.5"
sources = [
  "Our choice throughout: a bolus is due about when a meal begins; after 15 minutes without one a rise confirms the meal.",
  "Only for people tagged mealtime_insulin: for all others a meal without a bolus is as it should be.",
]

[parameters.meal_g]
default = 20
min = 5
max = 100
unit = "g"
label = "Carbohydrate of a meal that counts"
labels = { zh-CN = "计为一餐的最低碳水化合物量" }

[titles]
zh-CN = "进餐未用胰岛素"

[descriptions]
zh-CN = "15 至 90 分钟前进餐，两小时内未用餐时或校正胰岛素，且血糖每分钟上升 1 mg/dL 或以上。"
*/
SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, time_min, glucose_mg_dl,
    SUM(carbs_g) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '90' MINUTE PRECEDING AND CURRENT ROW
    ) AS carbs_90_min_g,
    SUM(carbs_g) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS carbs_15_min_g,
    SUM(bolus_u) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '120' MINUTE PRECEDING AND CURRENT ROW
    ) AS bolus_2_h_u,
    REGR_SLOPE(glucose_mg_dl, time_min) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS rate_mg_dl_per_min,
    COUNT(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '15' MINUTE PRECEDING AND CURRENT ROW
    ) AS n
  FROM timeline
) AS recent
JOIN patients USING (patient)
WHERE COALESCE(carbs_90_min_g, 0) - COALESCE(carbs_15_min_g, 0) >= meal_g
  AND COALESCE(bolus_2_h_u, 0) = 0
  AND n >= 3
  AND rate_mg_dl_per_min >= 1
  AND glucose_mg_dl IS NOT NULL
