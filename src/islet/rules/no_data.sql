/*
name = "no_data"
title = "No data for 20 minutes"
severity = "technical"
enabled = "all"
sources = ["20 minutes is when common sensors tell their wearer of signal loss; it is four missed 5-minute readings."]
*/
SELECT patient, device, ts
FROM last_readings
WHERE minutes_since >= 20
