/*
name = "high"
title = "High glucose"
severity = "warning"
enabled = "all"
clear = "glucose_mg_dl <= 240"
sources = [
  "Threshold 250 mg/dL (13.9 mmol/L): level 2 hyperglycaemia, doi:10.2337/dci19-0028; default of the Dexcom G7.",
  "Clear at 240: our choice, 10 mg/dL of hysteresis; sensor noise grows with the value.",
]
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
WHERE glucose_mg_dl > 250
