"""The log: append, read from an offset. The truth."""
