"""All settings in one table: name with unit, default, one sentence.

Read from a TOML file (flat keys), then from the environment (`ISLET_` + the name in capitals), the latter winning.
`docs/reference/settings.md` is generated from this table.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_network
from math import isfinite
from pathlib import Path
from typing import Any, Final, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from islet.errors import SettingError

ROLES: Final = ("gateway", "engine", "store", "notify", "web")
_CHOICES: Final = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("json", "text"),
    "event_hub": ("off", "on"),
    "nightscout_sockets": ("off", "on"),
    "fault_injection": ("off", "on"),
    "https_client_certificates": ("ignored", "asked"),
    "notify_language": ("en", "zh-CN"),
    "smtp_security": ("tls", "starttls", "none"),
    "log": ("sqlite", "kafka"),
    "engine": ("embedded", "spark"),
    "kafka_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "kafka_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "kafka_compression": ("none", "gzip", "lz4", "zstd"),
}
_MAY_BE_ZERO: Final = frozenset(
    {"partitions", "commit_within_ms", "lateness_min", "future_min", "silence_grace_s", "page_max_age_min", "jobs_hour"}
)
_MOST: Final = {"partitions": 1024, "kafka_replicas": 9, "retention_days": 36_500, "jobs_hour": 23}
_MOST_OF_ANY: Final = 1_000_000  # more is a slip in the unit, and would not fit a column of microseconds one day
_PREFIX: Final = "ISLET_"
_BESIDE: Final = ("ISLET_KEY", "ISLET_AGENT_CONNECTION_STRING", "ISLET_AGENT_KEY", "ISLET_KIND")
"""Variables that are ours and no settings: the data key, and what the agent takes and gives."""
_NO_SETTINGS: Final = re.compile(
    r"ISLET_((BENCH|CRASH|DAYS|FUZZ|SCALE|STORM)_\w+"  # sizes and seeds of tests and benchmarks
    r"|EXAMPLES|NIGHTS|PASSWORD|PATIENT_DAYS|PEERS|POWER_CUTS|REQUIRE_SERVICES|SHARED_DATA"
    r"|(\w+_)?SERVICE_(HOST|PORT(_\w+)?)|(\w+_)?PORT_\d+_(TCP|UDP)\w*)"  # what Kubernetes says of a service `islet`
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp)://")  # ISLET_PORT there


def _setting(default: Any, unit: str, sentence: str) -> Any:
    return field(default=default, metadata={"unit": unit, "sentence": sentence})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One installation's settings."""

    data_dir: Path = _setting(Path("data"), "", "Where the log, the store, the key and the certificates are.")
    host: str = _setting("127.0.0.1", "", "The address that all listeners bind to.")
    hub_name: str = _setting(
        "localhost", "", "The host name that devices use; it is in their SAS tokens and in our certificate."
    )
    id_scope: str = _setting(
        "islet",
        "",
        "The ID scope with which devices register themselves (A-Z a-z 0-9 -), as at the provisioning service.",
    )
    roles: tuple[str, ...] = _setting(
        ROLES, "", "Which roles this process runs; all of them in one process by default."
    )

    key_file: str = _setting(
        "", "", "File with the data key; empty means data_dir/data.key, made on first start with mode 600."
    )
    key_command: str = _setting(
        "", "", "A command that prints the data key, instead of a file (the environment's ISLET_KEY wins over both)."
    )

    mqtt_tls_port: int = _setting(8883, "port", "MQTT over TLS for devices; 0 turns it off.")
    mqtt_plain_port: int = _setting(0, "port", "MQTT without TLS, for development only; 0 (off) by default.")
    amqp_tls_port: int = _setting(
        0,
        "port",
        "AMQP 1.0 over TLS for devices and services (IoT Hub's is 5671); 0 turns it off. Needs the extra amqp.",
    )
    event_hub: str = _setting(
        "off",
        "",
        "on: services read devices' messages as they came, over AMQP as from an Event Hub, and the log keeps each message "
        "twice; or off.",
    )
    nightscout_sockets: str = _setting(
        "off",
        "",
        "on: AndroidAPS and others are told of changes through Nightscout's web sockets; or off. Needs the extra nightscout.",
    )
    fault_injection: str = _setting(
        "off",
        "",
        "on: devices may ask for faults of their own connection, as tests of IoT Hub's SDKs do (for development only); or "
        "off.",
    )
    https_port: int = _setting(8443, "port", "Portal, API and IoT Hub's HTTPS endpoints over TLS; 0 turns it off.")
    https_client_certificates: str = _setting(
        "ignored",
        "",
        "asked: HTTPS and WebSocket ask for a device's certificate as MQTT does (and browsers ask people who have some "
        "of their own which one to show); ignored: devices come there with tokens.",
    )
    http_plain_port: int = _setting(0, "port", "The same without TLS, for development only; 0 (off) by default.")

    log: str = _setting(
        "sqlite", "", "Where the log is: sqlite (a file in data_dir), or kafka (for more than one machine)."
    )
    engine: str = _setting(
        "embedded",
        "",
        "Who evaluates: embedded (the role engine), or spark (a job of its own; the role engine then only looks after "
        "history that came late and devices whose clock is wrong).",
    )
    kafka_bootstrap: str = _setting("", "host:port", "One or more brokers, with commas between them.")
    kafka_protocol: str = _setting("PLAINTEXT", "", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_mechanism: str = _setting("PLAIN", "", "How a SASL protocol logs in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_user: str = _setting("", "", "Who we are there; `$ConnectionString` at Azure Event Hubs.")
    kafka_password: str = _setting("", "secret", "The password; the connection string at Azure Event Hubs.")
    kafka_ca_file: str = _setting(
        "", "", "PEM file with the authority of the brokers' certificates; the system's by default."
    )
    kafka_prefix: str = _setting(
        "", "", "Stands before the name of every topic, so that installations can share a broker."
    )
    kafka_replicas: int = _setting(
        1, "brokers", "Brokers that hold each entry; 3 where none may be lost with a machine."
    )
    kafka_compression: str = _setting(
        "zstd", "", "none, gzip, lz4 or zstd; gzip or none at Azure Event Hubs, and where kafkajs reads the topics."
    )

    partitions: int = _setting(
        0,
        "partitions",
        "Partitions of each topic, fixed when the log is made; 0: those that it has, and for a new log 1 on one machine "
        "and 4 on Kafka. On Kafka take as many as cores that should share the work one day.",
    )
    retention_days: float = _setting(30.0, "days", "How long the log keeps entries.")
    commit_within_ms: float = _setting(
        13.0,
        "ms",
        "When much comes, within how long an entry is durable, about: the log's writer waits for more as long as that "
        "allows. An entry after a quiet time is committed at once.",
    )
    compact_every_s: float = _setting(60.0, "s", "How often old small segments are rewritten as large sorted ones.")

    lateness_min: float = _setting(
        15.0, "min", "A reading this far behind the newest of its series still revises alerts; later ones are history."
    )
    future_min: float = _setting(
        5.0,
        "min",
        "A reading dated further ahead of our clock than this is a dead letter: the device's clock is wrong.",
    )
    engine_tick_s: float = _setting(1.0, "s", "How often rules about silence are looked at (in the platform's time).")
    silence_grace_s: float = _setting(
        60.0,
        "s",
        "Nobody is called silent this soon after a reading of theirs came in, however old it is, or after a start.",
    )
    engine_snapshot_s: float = _setting(
        300.0, "s", "How often the engine's state is saved; a restart replays what came after."
    )

    page_max_age_min: float = _setting(
        30.0, "min", "Nobody is paged for a fact older than this; it is shown as history."
    )
    notify_language: str = _setting("en", "", "Language of the messages that are sent: en or zh-CN.")
    public_url: str = _setting(
        "", "URL", "Where people reach the portal (https://…); messages then hold a link that acknowledges."
    )
    oidc_issuer: str = _setting(
        "", "URL", "An OpenID provider through which people may log in (extra oidc); empty turns it off."
    )
    oidc_client_id: str = _setting("", "", "What that provider knows this installation by.")
    oidc_client_secret: str = _setting("", "secret", "The secret it gave with that; empty for a public client.")
    oidc_name: str = _setting("OpenID", "", "What the log-in page calls it.")
    trusted_proxies: tuple[str, ...] = _setting(
        (), "", "Addresses or networks of reverse proxies whose X-Forwarded-For is believed, as 10.0.0.0/8."
    )
    metrics_networks: tuple[str, ...] = _setting(
        (), "", "Networks from which /metrics is read beside this machine (10.0.0.0/8): where a Prometheus is."
    )
    engine_silent_min: float = _setting(
        5.0, "min", "When the engine has not worked for this long, the operators are paged, each hour until it does."
    )
    notify_allowed_networks: tuple[str, ...] = _setting(
        (),
        "",
        "Networks that are not public and to which webhook, push and ntfy messages may go all the same, also without "
        "TLS (10.1.0.0/16).",
    )
    telegram_token: str = _setting("", "secret", "Token of the Telegram bot; empty turns the channel off.")
    telegram_chat: str = _setting("", "", "The chat that receives alerts.")
    telegram_base_url: str = _setting("https://api.telegram.org", "URL", "Where the Bot API is.")
    telegram_webhook_secret: str = _setting(
        "",
        "secret",
        "The secret_token of the bot's webhook at public_url/telegram; empty: buttons are fetched instead.",
    )
    smtp_host: str = _setting("", "", "The mail server that sends messages; empty turns the channel off.")
    smtp_port: int = _setting(587, "port", "Its port.")
    smtp_security: str = _setting("starttls", "", "tls, starttls, or none (a server on this machine).")
    smtp_sender: str = _setting("", "", "The sender of mails, as name@host.")
    smtp_user: str = _setting("", "", "The name to log in with at the mail server; empty: without.")
    smtp_password: str = _setting("", "secret", "The password there.")
    ntfy_base_url: str = _setting("", "URL", "The ntfy server, as https://ntfy.sh; empty turns the channel off.")
    ntfy_token: str = _setting("", "secret", "The access token at the ntfy server; empty: without.")
    vapid_contact: str = _setting(
        "", "", "mailto: or https: address where push services reach the operator; empty turns Web Push off."
    )
    notify_give_up_h: float = _setting(
        24.0, "h", "After this long without success a message becomes visibly undeliverable."
    )

    jobs_hour: int = _setting(3, "h", "The hour of the night, 0 to 23, at which nightly jobs begin.")
    jobs_time_zone: str = _setting("UTC", "", "The time zone of that hour; each patient's day is that of their own.")

    session_h: float = _setting(12.0, "h", "How long a log-in lasts.")
    upload_most_mb: float = _setting(
        250.0, "MB", "What the files of one upload may hold; more is refused (413). They are on the disk, encrypted."
    )
    device_file_most_mb: float = _setting(
        100.0, "MB", "What a file that a device uploads may hold. They are on the disk, encrypted, for retention_days."
    )
    device_files_most_mb: float = _setting(1000.0, "MB", "What all files of one device may hold.")
    speed: float = _setting(
        1.0, "×", "The platform's clock runs this many times faster than the wall's; for demonstrations and tests."
    )
    log_level: str = _setting("info", "", "debug, info, warning or error.")
    log_format: str = _setting("json", "", "json, or text for a terminal.")


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings from a TOML file (if any) and the environment.

    Raises SettingError for an unknown name or a value of the wrong type or range; the message names the setting and
    what is allowed, never its value (it may be a secret).
    """
    values: dict[str, Any] = {}
    if path is not None:
        values.update(_from_file(path))
    known = {f.name: f for f in fields(Settings)}
    for name in known:
        text = environment.get(_PREFIX + name.upper())
        if text is not None:
            values[name] = text
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingError(f"unknown setting {unknown[0]!r}; {_perhaps(unknown[0], known)}")
    hints = get_type_hints(Settings)
    return checked(Settings(**{name: _converted(known[name], hints[name], value) for name, value in values.items()}))


def passed_over(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is named as a setting and is none, so that `load` does not look at it; the names
    that Islet's agent, tests and benchmarks have, and those of Kubernetes, are left out.

    >>> passed_over({"ISLET_HTTPS_PRT": "443", "ISLET_KEY": "…"})
    ['ISLET_HTTPS_PRT is no setting and has no effect; did you mean ISLET_HTTPS_PORT? `islet settings` lists all of them']
    """
    known = [*(_PREFIX + one.name.upper() for one in fields(Settings)), *_BESIDE]
    return [
        f"{name} is no setting and has no effect; {_perhaps(name, known)}"
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIX)
        and name not in known
        and not _NO_SETTINGS.fullmatch(name)
        and not _SERVICE_ADDRESS.match(value)
    ]


def _perhaps(name: str, known: Iterable[str]) -> str:
    """Which of the known names somebody may have meant, and where all of them are."""
    nearest = get_close_matches(name, list(known), n=1)
    return f"{f'did you mean {nearest[0]}? ' if nearest else ''}`islet settings` lists all of them"


def checked(settings: Settings) -> Settings:
    """The settings, when every value is one that is allowed; for whoever changes one after `load`.

    Raises SettingError, which names the setting and says what is allowed.
    """
    if not settings.roles:
        raise SettingError(f"setting roles: expected at least one of {', '.join(ROLES)}")
    for role in settings.roles:
        if role not in ROLES:
            raise SettingError(f"setting roles: {role!r} is not one of {', '.join(ROLES)}")
    for name, allowed in _CHOICES.items():
        if getattr(settings, name) not in allowed:
            raise SettingError(f"setting {name}: expected one of {', '.join(allowed)}")
    try:
        ZoneInfo(settings.jobs_time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingError("setting jobs_time_zone: expected a time zone such as Europe/Vienna") from None
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if isinstance(value, int | float):
            _check_number(setting, value)
        if setting.metadata["unit"] == "URL" and value:
            _check_url(setting.name, value)
    for name in ("metrics_networks", "notify_allowed_networks"):
        _check_networks(name, getattr(settings, name))
    return settings


def listed(text: str) -> tuple[str, ...]:
    """The words of a comma-separated text, without the spaces around them; empty ones are left out.

    >>> listed("gateway, engine,")
    ('gateway', 'engine')
    """
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"settings file {path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"settings file {path} is not valid TOML: {error}") from None


def _converted(setting: Field[Any], kind: Any, value: Any) -> Any:
    try:
        if isinstance(value, bool):  # TOML's true would be a 1
            raise TypeError
        if kind is int:
            if isinstance(value, float):  # int() would cut its decimals off
                raise TypeError
            return int(value)
        if kind is float:
            return float(value)
        if kind is Path:
            return Path(value)
        if kind is str:
            if not isinstance(value, str):
                raise TypeError
            return value
        return listed(value if isinstance(value, str) else ",".join(value))
    except (TypeError, ValueError):
        unit = setting.metadata["unit"]
        raise SettingError(
            f"setting {setting.name}: expected {_kind_name(kind)}{f' ({unit})' if unit else ''}"
        ) from None


def _kind_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", Path: "a path", str: "a text"}
    return names.get(kind, "a list of words")


def _check_url(name: str, value: str) -> None:
    if not value.startswith(("https://", "http://")):
        raise SettingError(f"setting {name}: expected an address that begins with https://")


def _check_networks(name: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            raise SettingError(
                f"setting {name}: expected networks as 10.1.0.0/16, separated by commas; got {network!r}"
            ) from None


def _check_number(setting: Field[Any], value: float) -> None:
    name, unit = setting.name, setting.metadata["unit"]
    if unit == "port":
        if not 0 <= value <= 65535:
            raise SettingError(f"setting {name}: expected a port between 0 (off) and 65535")
        return
    most = _MOST.get(name, _MOST_OF_ANY)
    if not isfinite(value) or value > most:
        raise SettingError(f"setting {name}: expected at most {most} {unit}")
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise SettingError(
            f"setting {name}: expected {'0 or more' if name in _MAY_BE_ZERO else 'more than 0'} ({unit})"
        )
