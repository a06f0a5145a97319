"""Files that exports and imports of the registry write and read: in a folder of this machine, where IoT Hub has blobs.

SDKs name a blob container by its address. Of that the last part is taken, as the name of a folder; nothing is fetched
from anywhere. What is here can hold devices' keys: files are their owner's alone.
"""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from islet.errors import BadInput, NotFound

_CONTAINER: Final = re.compile(r"[A-Za-z0-9-]{1,63}")  # as Azure's, and capitals
_BLOB: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_JOBS: Final = "_jobs"  # is no container's name


class RegistryJob(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An export or import, and how far it is; the fields are IoT Hub's."""

    job_id: str
    type: str
    status: str = "queued"
    progress: int = 0
    start_time_utc: str = ""
    end_time_utc: str = ""
    failure_reason: str = ""
    input_blob_container_uri: str = ""
    input_blob_name: str = ""
    output_blob_container_uri: str = ""
    output_blob_name: str = ""
    exclude_keys_in_export: bool = False


class RegistryFiles:
    """The folder. Blocks: its methods are called in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, container_uri: str, blob: str) -> Path:
        """Where a blob is. Raises BadInput for names that are none."""
        try:
            container = urlsplit(container_uri).path.rstrip("/").rpartition("/")[2]
        except ValueError:  # half of an IPv6 address
            container = ""
        if not _CONTAINER.fullmatch(container) or not _BLOB.fullmatch(blob):
            raise BadInput("container: expected an address or a name that ends with A-Z a-z 0-9 -", reason="container")
        return self._folder / container / blob

    def write(self, path: Path, content: bytes) -> None:
        """All of it or nothing, durable."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.part")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def read(self, path: Path) -> bytes:
        """Raises NotFound."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no file {path.parent.name}/{path.name} to import") from None

    def keep(self, job: RegistryJob) -> None:
        self.write(self._folder / _JOBS / f"{job.job_id}.json", msgspec.json.encode(job))

    def jobs(self) -> list[RegistryJob]:
        """All, the newest first."""
        found = [msgspec.json.decode(path.read_bytes(), type=RegistryJob) for path in self._kept()]
        return sorted(found, key=lambda job: job.start_time_utc, reverse=True)

    def forget_but(self, newest: int) -> None:
        """Keep so many jobs; what they have written stays."""
        for job in self.jobs()[newest:]:
            (self._folder / _JOBS / f"{job.job_id}.json").unlink(missing_ok=True)

    def _kept(self) -> list[Path]:
        return list((self._folder / _JOBS).glob("*.json"))
