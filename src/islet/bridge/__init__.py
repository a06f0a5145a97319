"""A Bluetooth meter or sensor as a device: reads its records, follows it, and hands on its events."""
