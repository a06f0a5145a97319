"""Pure: what glucose does during exercise, after it, and in the night that follows."""
