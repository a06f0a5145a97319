"""Exports of other systems, as events: one file per format; `detect.py` tells which it is. Pure."""
