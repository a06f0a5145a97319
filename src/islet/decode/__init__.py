"""Bytes to events: one file per device protocol or file format. Pure."""
