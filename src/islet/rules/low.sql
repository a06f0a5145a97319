/*
name = "low"
title = "Low glucose"
severity = "warning"
enabled = "all"
clear = "glucose_mg_dl >= 75"
sources = [
  "Threshold 70 mg/dL (3.9 mmol/L): level 1 hypoglycaemia, doi:10.2337/dci19-0028; default of the Dexcom G7.",
  "Clear at 75: our choice, 5 mg/dL of hysteresis; 73 to 75 is also where alarms prevented most lows (PMID 31993548).",
]
*/
SELECT patient, device, ts, glucose_mg_dl
FROM readings
WHERE glucose_mg_dl < 70
