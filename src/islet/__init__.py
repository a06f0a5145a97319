"""Islet: glucose readings in, alarms out in milliseconds."""

__version__ = "0.1.0"
