"""Islet as a device: speaks to a front door, for simulated devices, replays and load."""
