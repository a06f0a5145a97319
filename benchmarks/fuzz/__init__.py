"""Every decoder against spoiled input, for as long as one likes: `python -m benchmarks.fuzz [name …]`."""
