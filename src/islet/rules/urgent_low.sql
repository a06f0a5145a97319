/*
name = "urgent_low"
title = "Urgent low glucose"
severity = "urgent"
enabled = "all"
clear = "glucose_mg_dl >= 60"
sources = [
  "Threshold 55 mg/dL (3.1 mmol/L): the fixed urgent low alarm of the Dexcom G5 (user guide, p. 208) and G7.",
  "Clear at 60: our choice, 5 mg/dL of hysteresis, so that sensor noise around 55 makes one episode and not many.",
]
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
WHERE glucose_mg_dl <= 55
