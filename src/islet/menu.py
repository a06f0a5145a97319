"""Every plug by kind and name, one line each. Strings, so that nothing is loaded that is not used."""

from importlib import import_module
from typing import Any, Final

from islet.errors import SettingError

PLUGS: Final[dict[str, dict[str, str]]] = {
    "log": {
        "sqlite": "islet.log.sqlite:SqliteLog",
        "memory": "islet.log.memory:MemoryLog",
        "kafka": "islet.log.kafka:from_settings",
    },
    "check": {
        "kafka": "islet.log.kafka_topics:check",
    },
    "store": {
        "sqlite": "islet.store.sqlite:SqliteStore",
    },
    "registry": {
        "sqlite": "islet.store.registry:SqliteRegistry",
    },
    "devices": {
        "sqlite": "islet.store.devices:SqliteDevices",
    },
    "gateway": {
        "amqp": "islet.gateways.amqp:AmqpServer",
        "nightscout": "islet.gateways.nightscout_sockets:NightscoutSockets",
    },
    "notifier": {
        "apprise": "islet.notify.apprise:AppriseNotifier",
        "console": "islet.notify.console:ConsoleNotifier",
        "email": "islet.notify.email:EmailNotifier",
        "ntfy": "islet.notify.ntfy:NtfyNotifier",
        "telegram": "islet.notify.telegram:TelegramNotifier",
        "webhook": "islet.notify.webhook:WebhookNotifier",
        "webpush": "islet.notify.webpush:WebPushNotifier",
    },
    "key": {
        "webpush": "islet.notify.webpush:vapid_key",
    },
    "importer": {
        "shanghai": "islet.decode.shanghai:decode_workbook",
    },
}


def plug(kind: str, name: str) -> Any:
    """The class or function behind a line of the menu. Raises SettingError that lists what there is, or names the extra
    that is not installed; extras are called as what needs them."""
    try:
        module, attribute = PLUGS[kind][name].split(":")
    except KeyError:
        known = ", ".join(sorted(PLUGS.get(kind, {}))) or "nothing"
        raise SettingError(f"{kind} {name!r} is not on the menu; there is: {known}") from None
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("islet"):
            raise
        raise SettingError(f"{kind} {name!r} needs the extra: pip install 'islet[{name}]' ({error.name})") from None
