"""Pure: patterns of glucose alone: mornings, nights, lows, highs, variability."""
