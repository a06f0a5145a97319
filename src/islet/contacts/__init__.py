"""Whom alarms reach: people's addresses and patients' policies, as they are kept in the registry."""
