"""What a data directory holds, opened by the menu and closed at the end: log, store, registry, devices, outbox."""

import contextlib
import os
import random
import secrets
from collections.abc import Iterator, Mapping

from islet.access.passwords import hash_password
from islet.clock import wall_us
from islet.erasure.patients import Holders
from islet.errors import AlreadyExists
from islet.log.base import Log
from islet.log.keys import data_key
from islet.menu import plug
from islet.model.people import Role, User
from islet.notify.outbox import Outbox
from islet.settings import Settings
from islet.store.base import Registry, Store
from islet.store.consents import keep_earlier
from islet.store.device_file_rows import Bounds
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Devices


@contextlib.contextmanager
def opened_log(settings: Settings) -> Iterator[Log]:
    """The log of a data directory, or on Kafka; made if it is not there."""
    with contextlib.closing(_log_of(settings)) as log:
        yield log


def _log_of(settings: Settings) -> Log:
    log: Log
    if settings.log == "kafka":
        log = plug("log", "kafka")(settings, writer=_writer(settings))
    else:
        path = settings.data_dir / "log.db"
        log = plug("log", settings.log)(path, data_key(settings, os.environ), partitions=settings.partitions)
    return log


def _writer(settings: Settings) -> str:
    """One name for whoever evaluates, also a Spark job, so that of two the older one is shut out; one for what looks after
    late history beside that job; none for gateways and pages, which may be many."""
    if "engine" not in settings.roles:
        return ""
    return "engine" if settings.engine == "embedded" else "beside-engine"


def check_kafka(settings: Settings) -> None:
    """Raises what keeps the log on Kafka from being opened; makes nothing there."""
    plug("check", "kafka")(settings)


@contextlib.contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """The store of a data directory, made if it is not there."""
    store: Store = plug("store", "sqlite")(settings.data_dir / "store.db", data_key(settings, os.environ))
    with contextlib.closing(store):
        yield store


@contextlib.contextmanager
def opened_registry(settings: Settings) -> Iterator[Registry]:
    """The registry of a data directory, made if it is not there; one of an earlier version is brought up to this one."""
    registry: Registry = plug("registry", "sqlite")(settings.data_dir / "store.db", data_key(settings, os.environ))
    with contextlib.closing(registry):
        keep_earlier(registry, wall_us())
        yield registry


@contextlib.contextmanager
def opened_devices(settings: Settings) -> Iterator[Devices]:
    """Commands, twins and modules of a data directory's devices, made if they are not there."""
    devices: Devices = plug("devices", "sqlite")(settings.data_dir / "store.db", data_key(settings, os.environ))
    with contextlib.closing(devices):
        yield devices


@contextlib.contextmanager
def opened_device_files(settings: Settings) -> Iterator[DeviceFiles]:
    """Files that devices have uploaded into a data directory."""
    bounds = Bounds(round(settings.device_file_most_mb * 1e6), round(settings.device_files_most_mb * 1e6))
    folder = settings.data_dir / "device-files"
    files = DeviceFiles(settings.data_dir / "store.db", folder, data_key(settings, os.environ), bounds)
    with contextlib.closing(files):
        yield files


@contextlib.contextmanager
def opened_outbox(settings: Settings) -> Iterator[Outbox]:
    """The outbox of a data directory, to be asked or to queue a test in; it sends nothing."""
    outbox = Outbox(
        settings.data_dir / "store.db",
        data_key(settings, os.environ),
        page_max_age_min=settings.page_max_age_min,
        notify_give_up_h=settings.notify_give_up_h,
        rng=random.Random(0),
        acknowledge=lambda alert, contact: False,  # so that a test has a button; the platform hears of it
    )
    with contextlib.closing(outbox):
        yield outbox


@contextlib.contextmanager
def opened_holders(settings: Settings) -> Iterator[Holders]:
    """All of a data directory that keeps something of a patient, beside the log and the engine."""
    with (
        opened_registry(settings) as registry,
        opened_store(settings) as store,
        opened_outbox(settings) as outbox,
        opened_devices(settings) as devices,
        opened_device_files(settings) as files,
    ):
        yield Holders(registry=registry, store=store, outbox=outbox, devices=devices, files=files)


def first_administrator(registry: Registry) -> str | None:
    """Make the first administrator if there is nobody yet; the password, to be shown once. Of several processes that
    start at once one makes it, and the others show none."""
    if registry.users():
        return None
    password = "-".join(secrets.token_hex(3) for _ in range(3))
    administrator = User(name="admin", role=Role.ADMINISTRATOR, password_hash=hash_password(password))

    def first(users: Mapping[str, User]) -> User:
        if users:
            raise AlreadyExists("somebody is there by now")
        return administrator

    try:
        registry.change_user(administrator.name, first, action="", by="islet", at_us=wall_us())
    except AlreadyExists:
        return None
    return password
