"""`islet check`: what is wrong with an installation, and how to mend it."""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from islet.errors import IsletError
from islet.operations.locks import runs
from islet.settings import Settings, passed_over

_LEAST_FREE_GIB = 2.0
_FILES = ("log.db", "store.db")
_MADE_AT_FIRST = ("data.key", *_FILES)
_PORTS = ("mqtt_tls_port", "mqtt_plain_port", "amqp_tls_port", "https_port", "http_plain_port")


class Finding(Struct, frozen=True):
    """One thing that was looked at: whether it is well, and what to do if not."""

    ok: bool
    what: str
    says: str


def findings(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    opens: Callable[[], None],
    kafka: Callable[[], None],
    failing: Callable[[], Sequence[str]],
) -> list[Finding]:
    """All findings, in the order in which they would hurt. `opens` opens the log and the store with the data key, and
    raises what is wrong with that; `kafka` does so for a log that is there; `failing` asks a platform that runs which of
    its parts do not work. Where nothing is yet, nothing is made."""
    return [
        *(Finding(False, "environment", sentence) for sentence in passed_over(environment)),
        _data_dir(settings.data_dir),
        _space(settings.data_dir),
        _key(settings, opens),
        *_kafka(settings, kafka),
        *_platform(settings, failing),
        *_private_files(settings.data_dir),
        *_ports(settings),
        _assets(),
        _alarms_reach_somebody(settings),
    ]


def _data_dir(path: Path) -> Finding:
    existing = _existing(path)
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return Finding(False, "data directory", f"{existing} cannot be written into; make it so, or set data_dir")
    return Finding(True, "data directory", str(path.absolute()))


def _existing(path: Path) -> Path:
    """The path, or the nearest of those above it that is there."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def _space(path: Path) -> Finding:
    existing = _existing(path)
    free_gib = shutil.disk_usage(existing).free / 2**30
    if free_gib < _LEAST_FREE_GIB:
        return Finding(False, "disk", f"{free_gib:.1f} GiB free; make room (retention_days keeps the log smaller)")
    return Finding(True, "disk", f"{free_gib:.0f} GiB free")


def _key(settings: Settings, opens: Callable[[], None]) -> Finding:
    if not any((settings.data_dir / name).exists() for name in _MADE_AT_FIRST):
        return Finding(True, "data key", "nothing is here yet; the first `islet serve` makes key, log and store")
    missing = [name for name in _FILES if not (settings.data_dir / name).exists()]
    if settings.log == "sqlite" and len(missing) == 1:  # opened, it would be made anew, and empty
        return Finding(False, "data key", f"{missing[0]} is not there; restore {' and '.join(_FILES)} of one backup")
    try:
        opens()
    except (IsletError, OSError) as error:
        return Finding(False, "data key", str(error))
    return Finding(True, "data key", "opens the log and the store")


def _kafka(settings: Settings, asked: Callable[[], None]) -> Iterator[Finding]:
    if settings.log != "kafka":
        return
    try:
        asked()
    except (IsletError, OSError) as error:
        yield Finding(False, "kafka", (error.strerror if isinstance(error, OSError) else "") or str(error))
        return
    yield Finding(True, "kafka", f"{settings.kafka_bootstrap} answers")


def _platform(settings: Settings, failing: Callable[[], Sequence[str]]) -> Iterator[Finding]:
    """What one that runs here says of itself, where it can be asked."""
    if not (settings.https_port and runs(settings.data_dir)):
        return
    try:
        ill = failing()
    except (IsletError, OSError) as error:
        yield Finding(False, "platform", f"runs: {error}")
        return
    if ill:
        yield Finding(False, "platform", f"runs, but {', '.join(ill)} does not work; its log says why")
    else:
        yield Finding(True, "platform", "runs, and all its parts work")


def _private_files(path: Path) -> Iterator[Finding]:
    for file in sorted(path.glob("**/*.key")):
        try:
            mode = _mode(file)
        except OSError as error:
            yield Finding(False, file.name, f"{file}: {error.strerror}; let Islet's user in")
            continue
        if mode & 0o077:
            yield Finding(False, file.name, f"mode {mode:03o} lets others read it; chmod 600 {file}")
        else:
            yield Finding(True, file.name, "readable by its owner only")


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def _ports(settings: Settings) -> Iterator[Finding]:
    running = runs(settings.data_dir)
    for name in _PORTS:
        port = getattr(settings, name)
        if port:
            yield _port(name, settings.host, port, running=running)


def _port(name: str, host: str, port: int, *, running: bool) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            if running and error.errno == errno.EADDRINUSE:
                return Finding(True, name, f"{host}:{port} is in use; Islet runs on this data directory")
            return Finding(
                False, name, f"{host}:{port} cannot be bound ({error.strerror}); end what is there, or set {name}"
            )
    return Finding(True, name, f"{host}:{port} is free")


def _assets() -> Finding:
    chart = files("islet.web").joinpath("static", "vendor", "uPlot.esm.js")
    if not chart.is_file():
        return Finding(
            False, "page assets", "the chart library is not there; run `make assets`, or install again where npm is"
        )
    return Finding(True, "page assets", "built")


def _alarms_reach_somebody(settings: Settings) -> Finding:
    if settings.telegram_chat and not settings.telegram_token:
        return Finding(False, "alarms", "telegram_chat is set, telegram_token is not; set both")
    if settings.smtp_host and not settings.smtp_sender:
        return Finding(False, "alarms", "smtp_host is set, smtp_sender is not; set both")
    ways = {"Telegram": settings.telegram_token, "e-mail": settings.smtp_host, "Web Push": settings.vapid_contact}
    there = [name for name, value in ways.items() if value]
    if not there:
        return Finding(
            True,
            "alarms",
            "go to the portal and the console only; set telegram_token, smtp_host or vapid_contact to reach a phone",
        )
    link = "" if settings.public_url else "; set public_url so that messages hold a link that acknowledges"
    return Finding(True, "alarms", f"can go to {', '.join(there)}{link}")
