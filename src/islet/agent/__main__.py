"""`islet agent` and `python -m islet.agent`: the agent as a process of its own. It imports no more than it needs."""

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import random
import secrets
import signal
import sqlite3
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from islet.access.sas import ConnectionString, format_connection_string, parse_connection_string
from islet.agent import sources
from islet.agent.claim import redeem
from islet.agent.device import Device
from islet.agent.mqtt_client import TOKEN_LASTS_S, Address
from islet.agent.outlet import Console, Hook, Outlet
from islet.agent.privacy import Privacy, pseudonym
from islet.agent.queue import MOST_EVENTS
from islet.agent.register import register
from islet.agent.run import Agent
from islet.errors import IsletError

_MQTT_TLS_PORT: Final = 8883


def wall_us() -> int:
    """The wall's clock; the agent's only one, since it is a process of its own (`islet.app` reads the platform's)."""
    return time.time_ns() // 1000


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except IsletError as error:
        print(f"islet agent: {error}", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:
        print(f"islet agent: {options.folder}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="islet agent", description="A device: keeps what it measures until the platform has it."
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("agent-data"), help="where everything is kept (agent-data)")
    add("--platform", default="", help="https://host:port of the platform, for a claim code")
    add("--claim", default="", metavar="CODE", help="claim code that you were given; needed once")
    add("--connection-string", default="", help="instead of a claim code; or ISLET_AGENT_CONNECTION_STRING")
    add("--scope", default="", help="or: the ID scope in which this device is enrolled, with --register and --key")
    add("--register", default="", metavar="ID", help="registration id of the enrollment")
    add("--key", default="", help="its key (a group's derived one); or ISLET_AGENT_KEY")
    add("--mqtt", default="", metavar="HOST:PORT", help=f"front door (the hub's name, port {_MQTT_TLS_PORT})")
    add("--plain", action="store_true", help="MQTT without TLS, for development only")
    add("--authority", type=Path, help="PEM file of the platform's certificate authority (the system's by default)")
    add("--input", type=Path, help="folder into which readings are put (*.jsonl)")
    add("--socket", type=Path, help="Unix socket that takes readings (FOLDER/agent.sock by default)")
    add("--stdin", action="store_true", help="take readings from standard input")
    add("--simulate", action="store_true", help="measure a simulated person, for demonstrations")
    add("--hook", default="", metavar="COMMAND", help="program that shows prompts and buzzes (the console by default)")
    add("--details", type=Path, help="JSON file of the owner's own details, which must never leave the device")
    add("--no-texts", action="store_true", help="send no free texts at all")
    add("--most-events", type=int, default=MOST_EVENTS, help=f"how many events may wait to be sent ({MOST_EVENTS})")
    add("--token-lasts-s", type=int, default=TOKEN_LASTS_S, help="life of a token; renewed before its end")
    return parser


async def _run(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    details = _details(options.details)
    _only_one(folder)
    device = Device(
        folder, wall_us, Privacy(details, texts=not options.no_texts), most_events=max(1, options.most_events)
    )
    with contextlib.closing(device):
        tls = None if options.plain else _tls(options.authority)
        person = pseudonym(_secret(device, "pseudonym_key"), details[0] if details else "")
        credentials = await _credentials(options, device, person, tls)
        address = _address(options, credentials.host, tls)
        outlet: Outlet = Hook(options.hook) if options.hook else Console(lambda line: print(line, flush=True))
        agent = Agent(
            device,
            address,
            credentials,
            outlet,
            wall_us,
            random.Random(secrets.randbits(64)),
            lambda text: print(f"islet agent: {text}", file=sys.stderr, flush=True),
            token_lasts_s=options.token_lasts_s,
            facts={"agent": {"pseudonym": person}},
        )
        await _until_signal(agent, device, options)


def _tls(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError:
        raise IsletError(f"authority {authority}: expected a PEM file with the platform's authority") from None


def _only_one(folder: Path) -> None:
    """Hold the folder until this process ends. Raises IsletError when another agent has it."""
    lock = os.open(folder / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise IsletError(f"{folder}: another agent runs on this folder; give this one its own with --folder") from None


async def _until_signal(agent: Agent, device: Device, options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(sources.local_socket(device, options.socket or options.folder / "agent.sock"))
        tasks = [asyncio.create_task(agent.run()), asyncio.create_task(stopped.wait())]
        if options.input:
            tasks.append(asyncio.create_task(sources.folder(device, options.input)))
        if options.stdin:
            tasks.append(asyncio.create_task(_take_standard_input(device)))
        if options.simulate:
            from islet.agent.simulated import measure

            tasks.append(asyncio.create_task(measure(device, wall_us)))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


async def _take_standard_input(device: Device) -> None:
    """It may end; the agent says how much of it was refused, and goes on."""
    refused = await sources.lines_of(device, sys.stdin.fileno())
    if refused:
        print(f"islet agent: lines of the standard input that were refused: {refused}", file=sys.stderr)
    await asyncio.Event().wait()


def _address(options: argparse.Namespace, host: str, tls: ssl.SSLContext | None) -> Address:
    named, _, port = options.mqtt.rpartition(":") if options.mqtt else (host, "", str(_MQTT_TLS_PORT))
    host = named.removeprefix("[").removesuffix("]")  # as addresses of IPv6 are written
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise IsletError("mqtt: expected host:port of the front door")
    return Address(host=host, port=int(port), tls=tls)


async def _credentials(
    options: argparse.Namespace, device: Device, person: str, tls: ssl.SSLContext | None
) -> ConnectionString:
    """What was given, or what an earlier run has got; a claim code is redeemed once, another one again."""
    given = options.connection_string or os.environ.get("ISLET_AGENT_CONNECTION_STRING", "")
    if given:
        return parse_connection_string(given)
    kept, claimed = device.disk.kept("connection_string"), hashlib.sha256(options.claim.encode()).digest()
    if kept is not None and (not options.claim or device.disk.kept("claimed") == claimed):
        return parse_connection_string(kept.decode())
    key = options.key or os.environ.get("ISLET_AGENT_KEY", "")
    if options.claim and options.platform:
        found = redeem(options.platform, options.claim, person, tls)
    elif options.scope and options.register and key:
        address = _address(options, urlsplit(options.platform).hostname or "", tls)
        found = await register(address, options.scope, options.register, key, wall_us)
    else:
        raise IsletError(
            "this device is not registered: give --platform and --claim, --scope, --register and --key, or"
            " --connection-string"
        )
    with device.disk.together():
        device.disk.keep("connection_string", format_connection_string(found).encode())
        device.disk.keep("claimed", claimed)
    return found


def _secret(device: Device, name: str) -> bytes:
    """A key that is made once and never leaves the device."""
    kept = device.disk.kept(name)
    if kept is None:
        kept = secrets.token_bytes(32)
        device.disk.keep(name, kept)
    return kept


def _details(path: Path | None) -> list[str]:
    """All texts in the file, however deep; the first one is whom the pseudonym stands for."""
    if path is None:
        return []

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for inner in value.values() for text in texts(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in texts(inner)]
        return [str(value)] if isinstance(value, str | int) else []

    try:
        return texts(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise IsletError(f"details {path}: expected a JSON file") from None


if __name__ == "__main__":
    sys.exit(main())
