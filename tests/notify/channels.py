"""Every channel beside a local other side that does as it is told; a new one joins by a line in CHANNELS."""

import importlib.util
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from islet.notify.apprise import AppriseNotifier
from islet.notify.base import Notifier
from islet.notify.console import ConsoleNotifier
from islet.notify.email import EmailNotifier
from islet.notify.guard import GuardedClient
from islet.notify.ntfy import NtfyNotifier
from islet.notify.telegram import TelegramNotifier
from islet.notify.webhook import WebhookNotifier
from islet.notify.webpush import WebPushNotifier, vapid_key
from tests.notify.fake_http import FakeHttp, closed_socket, fake_http, hang, raw
from tests.notify.fake_smtp import CLOSE, HANG, fake_smtp
from tests.notify.fake_telegram import fake_telegram, status
from tests.notify.subscription import SecretsInMemory, browser

WAIT_S = 0.3
SECRET = "whsec_" + "QUJD" * 8
LOCAL = ("127.0.0.0/8",)
HAPPENINGS = ("taken", "429", "403", "410", "500", "hang", "closed")
Missing = Callable[[str], NoReturn]


class Pair(NamedTuple):
    """A notifier, and what makes its other side do something of HAPPENINGS with the next message."""

    notifier: Notifier
    happens: Callable[[str], None]


def need(package: str, missing: Missing) -> None:
    if importlib.util.find_spec(package) is None:
        missing(f"the package {package}")


class Stream(io.StringIO):
    """A terminal; everything that is not `taken` is a full disk."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


@contextmanager
def console(missing: Missing) -> Iterator[Pair]:
    stream = Stream()
    yield Pair(ConsoleNotifier(stream), lambda what: setattr(stream, "full", what != "taken"))


@contextmanager
def telegram(missing: Missing) -> Iterator[Pair]:
    answers = {"429": status(429, retry_after=7), "403": status(403), "410": status(410), "500": status(500)}
    with fake_telegram() as fake:
        notifier = TelegramNotifier("1:t", "1", base_url=fake.base_url, timeout_s=WAIT_S)
        others = {"hang": hang, "closed": closed_socket}
        yield Pair(notifier, lambda what: None if what == "taken" else fake.script.append((answers | others)[what]))
        notifier.close()


def _http(fake: FakeHttp) -> Callable[[str], None]:
    answers = {"429": raw(429, b"", Retry_After="7"), "403": raw(403), "410": raw(410), "500": raw(500)}
    others = {"hang": hang, "closed": closed_socket}
    return lambda what: None if what == "taken" else fake.script.append((answers | others)[what])


@contextmanager
def webhook(missing: Missing) -> Iterator[Pair]:
    client = GuardedClient(allowed=LOCAL, timeout_s=WAIT_S)
    with fake_http() as fake:
        yield Pair(WebhookNotifier(fake.base_url + "/hook", [SECRET], "program", client), _http(fake))
    client.close()


@contextmanager
def webpush(missing: Missing) -> Iterator[Pair]:
    need("pywebpush", missing)
    client = GuardedClient(allowed=LOCAL, timeout_s=WAIT_S)
    with fake_http(raw(201, Location="/message/1")) as fake:
        subscription = browser(fake.base_url + "/push/secret").subscription
        key = vapid_key(SecretsInMemory())
        yield Pair(WebPushNotifier(subscription, "phone", client, key=key, contact="mailto:a@example.org"), _http(fake))
    client.close()


@contextmanager
def ntfy(missing: Missing) -> Iterator[Pair]:
    client = GuardedClient(allowed=LOCAL, timeout_s=WAIT_S)
    with fake_http(raw(200, b'{"id": "n1"}')) as fake:
        yield Pair(NtfyNotifier("topic-secret", "anna", client, base_url=fake.base_url), _http(fake))
    client.close()


@contextmanager
def email(missing: Missing) -> Iterator[Pair]:
    scripts = {"429": "451 later", "403": "550 no", "410": "551 moved", "500": "421 closing", "hang": HANG}
    with fake_smtp() as fake:
        notifier = EmailNotifier(
            "anna@example.org",
            "anna",
            sender="islet@example.org",
            host="127.0.0.1",
            port=fake.port,
            security="none",
            timeout_s=WAIT_S,
        )
        others = {"closed": CLOSE}
        yield Pair(notifier, lambda what: None if what == "taken" else fake.script.append((scripts | others)[what]))


@contextmanager
def apprise(missing: Missing) -> Iterator[Pair]:
    need("apprise", missing)
    with fake_http() as fake:
        url = fake.base_url.replace("http://", "mmost://") + f"/token-secret?rto={WAIT_S}&cto={WAIT_S}"
        yield Pair(AppriseNotifier(url, "ward"), _http(fake))


CHANNELS = {
    "console": console,
    "telegram": telegram,
    "webhook": webhook,
    "webpush": webpush,
    "ntfy": ntfy,
    "email": email,
    "apprise": apprise,
}
