"""The front door: carries bytes to a decoder, checks access, commits to the log, then acknowledges."""
