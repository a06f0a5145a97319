"""The data key: 32 bytes that encrypt the log and the store. Never logged, never in a message."""

import base64
import binascii
import os
import secrets
import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from islet.errors import KeyUnavailable
from islet.log.connection import KEY_BYTES
from islet.log.names import sync_folder
from islet.settings import Settings

_COMMAND_TIMEOUT_S: Final = 30.0
_ENCRYPTED: Final = ("log.db", "store.db")


def data_key(settings: Settings, environment: Mapping[str, str]) -> bytes:
    """The data key (32 bytes): from the environment's ISLET_KEY, else from `key_command`, else from the key file.

    The key file is made on first start, for its owner only; never beside what an earlier key encrypted. Raises
    KeyUnavailable when there is none to be had, or when others than the owner can read the file.
    """
    if text := environment.get("ISLET_KEY"):
        return _decoded(text, "ISLET_KEY")
    if settings.key_command:
        return _decoded(_output(settings.key_command), "key_command")
    path = Path(settings.key_file) if settings.key_file else settings.data_dir / "data.key"
    try:
        # Looked at before the key: another process that starts now makes its key first, and its files after.
        encrypted = [name for name in _ENCRYPTED if (settings.data_dir / name).exists()]
        return _decoded(_private_text(path), f"key file {path}")
    except FileNotFoundError:
        if encrypted:
            raise KeyUnavailable(
                f"key file {path} is not there, but {' and '.join(encrypted)} in {settings.data_dir} cannot be read "
                "without it; restore it from its backup, or say where it is (key_file, key_command or ISLET_KEY)"
            ) from None
        return _made(path)
    except OSError as error:
        raise KeyUnavailable(f"key file {path}: {error.strerror}; make it readable for Islet's user") from None


def _decoded(text: str, source: str) -> bytes:
    text = text.strip()
    for decode in (bytes.fromhex, _base64):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise KeyUnavailable(f"{source}: expected {KEY_BYTES} bytes in hex or base64; got something else")


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _output(command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the administrator's own setting
            shlex.split(command), capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise KeyUnavailable(f"key_command failed ({type(error).__name__}); run it by hand to see why") from None
    return done.stdout


def _private_text(path: Path) -> str:
    with path.open(encoding="ascii", errors="replace") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnavailable(
                f"key file {path}: others than its owner may use it (mode {stat.S_IMODE(mode):o}); "
                f"set mode 600 (chmod 600), and consider the key known to others"
            )
        return file.read()


def _made(path: Path) -> bytes:
    """A new key in a new file; that of another process if it was quicker."""
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # so that nobody ever reads half a key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, key.hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)  # fails where there is one by now
        except FileExistsError:
            return _decoded(_private_text(path), f"key file {path}")
        finally:
            draft.unlink()
        sync_folder(path.parent)  # what is encrypted with the key must not outlive its name
    except OSError as error:
        raise KeyUnavailable(f"key file {path}: cannot be made ({error.strerror})") from None
    return key
