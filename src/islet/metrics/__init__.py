"""Measures of glucose: pure functions from readings to numbers, for one person or thousands at once."""
