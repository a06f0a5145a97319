"""Forecasts beside the published ones: `python -m benchmarks.forecast --help`."""
