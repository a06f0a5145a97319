"""Names of files on the disk."""

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """The names that are in the folder outlive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
