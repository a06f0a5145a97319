"""The channels that are set up, and how a contact on each is opened: settings in, notifiers out."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from islet.errors import SettingError
from islet.menu import plug
from islet.notify.base import Notifier
from islet.notify.guard import GuardedClient
from islet.notify.recipients import Contact, Lane
from islet.notify.sending import Opens
from islet.notify.telegram_bot import TelegramBot
from islet.settings import Settings
from islet.store.base import Registry

_BUTTON: Final = "Acknowledge"
_NEEDS: Final = {
    "telegram": "set telegram_token",
    "email": "set smtp_host and smtp_sender",
    "ntfy": "set ntfy_base_url",
    "apprise": "install islet[apprise]",
    "webpush": "set vapid_contact",
}
"""How each channel is set up that is not always there."""

Text = Callable[[str, str], str]
"""(language, message) -> the message in that language."""


class WebhookAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook's address as it is entered: JSON of the URL and one signing secret, or two while one is exchanged."""

    url: str
    secrets: tuple[str, ...]


class Channels:
    """`opens` has the channels that are set up. `notifiers` and `installation` are the addresses of the settings.

    `bot` is the Telegram bot, if there is one; `push_key` what browsers subscribe with, "" without Web Push.
    """

    def __init__(self, settings: Settings, registry: Registry, text: Text, *, console: bool = True) -> None:
        """Raises SettingError for settings that do not fit together."""
        self._settings, self._text = settings, text
        self.bot: TelegramBot | None = None
        self.push_key = ""
        self._client = GuardedClient(allowed=settings.notify_allowed_networks)
        opens: dict[str, Opens] = {"webhook": self._webhook}
        if settings.telegram_token:
            self.bot = TelegramBot(settings.telegram_token, base_url=settings.telegram_base_url)
            opens["telegram"] = self._telegram
        if settings.smtp_host:
            if not settings.smtp_sender:
                raise SettingError("smtp_sender: expected name@host, for smtp_host is set")
            opens["email"] = self._email
        if settings.ntfy_base_url:
            opens["ntfy"] = self._ntfy
        if _installed("apprise"):
            opens["apprise"] = lambda contact: _made("apprise", contact.address, contact.id)
        if settings.vapid_contact:
            self._key = plug("key", "webpush")(registry)
            self.push_key = self._key.public
            opens["webpush"] = self._webpush
        self.opens: Mapping[str, Opens] = opens
        self.notifiers, self.installation = self._of_settings(console=console)

    def check(self, contact: Contact) -> None:
        """Raises SettingError where the address is none that this channel takes, or the channel is not set up."""
        if contact.channel not in self.opens:
            how = _NEEDS.get(contact.channel, "there is none of that name")
            raise SettingError(f"{contact.channel}: this channel is not set up here; {how}")
        self.opens[contact.channel](contact)

    def close(self) -> None:
        if self.bot is not None:
            self.bot.close()
        self._client.close()

    def _of_settings(self, *, console: bool) -> tuple[list[Notifier], list[Contact]]:
        settings, notifiers = self._settings, list[Notifier]()
        if console:
            notifiers.append(plug("notifier", "console")())
        if settings.telegram_chat:
            if not settings.telegram_token:
                raise SettingError("telegram_token: expected the bot's token, for telegram_chat is set")
            notifiers.append(_made("telegram", "", settings.telegram_chat, bot=self.bot, button=self._button("")))
        return notifiers, [self._installation(Lane(one.name, one.recipient)) for one in notifiers]

    def _installation(self, lane: Lane) -> Contact:
        language = self._settings.notify_language
        tested = lane.channel != "console"
        return Contact(
            id=lane.recipient, channel=lane.channel, address=lane.recipient, language=language, tested=tested
        )

    def _button(self, language: str) -> str:
        return self._text(language or self._settings.notify_language, _BUTTON)

    def _telegram(self, contact: Contact) -> Notifier:
        return _made(
            "telegram", "", contact.address, bot=self.bot, button=self._button(contact.language), id=contact.id
        )

    def _email(self, contact: Contact) -> Notifier:
        settings = self._settings
        return _made(
            "email",
            contact.address,
            contact.id,
            sender=settings.smtp_sender,
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
        )

    def _ntfy(self, contact: Contact) -> Notifier:
        settings, button = self._settings, self._button(contact.language)
        more = {"base_url": settings.ntfy_base_url, "token": settings.ntfy_token, "button": button}
        return _made("ntfy", contact.address, contact.id, self._client, **more)

    def _webhook(self, contact: Contact) -> Notifier:
        try:
            address = msgspec.json.decode(contact.address, type=WebhookAddress)
        except msgspec.DecodeError:
            raise SettingError('webhook: expected {"url": "https://…", "secrets": ["whsec_…"]}') from None
        return _made("webhook", address.url, address.secrets, contact.id, self._client)

    def _webpush(self, contact: Contact) -> Notifier:
        more = {"key": self._key, "contact": self._settings.vapid_contact, "button": self._button(contact.language)}
        return _made("webpush", contact.address, contact.id, self._client, **more)


def _made(channel: str, *arguments: object, **more: object) -> Notifier:
    notifier: Notifier = plug("notifier", channel)(*arguments, **more)
    return notifier


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
