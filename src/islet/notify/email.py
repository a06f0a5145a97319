"""Messages by e-mail (SMTP, RFC 5321): slow and often unread, so a last resort and a record."""

import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from threading import Timer
from typing import Any, Final, Literal

from islet.errors import SettingError
from islet.model.time import from_us
from islet.notify.base import Delivered, Failed, Message, Outcome, RetryAfter

TIMEOUT_S: Final = 15.0
_WHOLE: Final = 2.0
"""Times that, all together: a server that says a letter each few seconds holds nobody's thread."""
Security = Literal["tls", "starttls", "none"]


class EmailNotifier:
    """One mailbox, through one server. `security` "none" is for a server on the same machine."""

    name: Final = "email"

    def __init__(
        self,
        address: str,
        recipient: str,
        *,
        sender: str,
        host: str,
        port: int,
        security: Security = "starttls",
        user: str = "",
        password: str = "",
        context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        for one in (address, sender):
            plain = one.isascii() and one.isprintable() and not any(c in one for c in " ,;<>")
            if one.count("@") != 1 or not all(one.split("@")) or not plain:
                raise SettingError("email: expected a sender and a recipient as name@host")
        if security not in ("tls", "starttls", "none"):
            raise SettingError("email: expected a security of tls, starttls or none")
        self._address, self.recipient, self._sender = address, recipient, sender
        self._host, self._port, self._security, self._timeout_s = host, port, security, timeout_s
        self._user, self._password, self._context = user, password, context

    def send(self, message: Message, now_us: int) -> Outcome:
        """One connection. A message sent again has the same Message-ID, which mailboxes use to show it once."""
        try:
            self._hand_over(_mail(message, self._sender, self._address, now_us))
        except smtplib.SMTPRecipientsRefused as refused:
            return _refused(*next(iter(refused.recipients.values()))[:1])
        except smtplib.SMTPAuthenticationError as error:
            return RetryAfter(0, f"email: {error.smtp_code}, the user name or password is refused")
        except smtplib.SMTPResponseException as error:
            of_message = isinstance(error, smtplib.SMTPDataError)
            return _refused(error.smtp_code) if of_message else _not_served(error.smtp_code)
        except UnicodeError:
            return RetryAfter(0, "email: expected smtp_user and smtp_password in ASCII")
        except (smtplib.SMTPException, OSError) as error:
            return RetryAfter(0, f"email: no answer ({type(error).__name__})")
        return Delivered(_message_id(message))

    def _hand_over(self, mail: EmailMessage) -> None:
        """Once the server has taken it, nothing that goes wrong in saying goodbye makes it another."""
        server = self._connected()
        try:
            server.send_message(mail, self._sender, [self._address])
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _connected(self) -> smtplib.SMTP:
        context = self._context or ssl.create_default_context()
        if self._security == "tls":
            server: smtplib.SMTP = _TimedTls(self._host, self._port, timeout=self._timeout_s, context=context)
        else:
            server = _Timed(self._host, self._port, timeout=self._timeout_s)
        try:
            if self._security == "starttls":
                server.starttls(context=context)  # raises where the server has none: never in the clear instead
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server


class _Timed(smtplib.SMTP):
    """A connection that is shut when its time is over, whatever comes in small pieces."""

    _timer: Timer | None = None

    def connect(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self._timer = Timer(self.timeout * _WHOLE, self._shut)
        self._timer.daemon = True
        self._timer.start()
        try:
            return super().connect(*args, **options)
        except BaseException:  # it is not closed where there was no connection
            self._timer.cancel()
            raise

    def _shut(self) -> None:
        with suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().close()


class _TimedTls(_Timed, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


def _refused(code: int) -> Outcome:
    if 500 <= code < 600:
        return Failed(f"email: {code}, the server refuses the recipient or the message")
    return RetryAfter(0, f"email: {code}, not now")


def _not_served(code: int) -> Outcome:
    """The server refuses us or our sender, not this recipient: kept and tried again, until an operator has mended it."""
    if 500 <= code < 600:
        return RetryAfter(0, f"email: {code}, the server does not serve us; check the smtp_ settings")
    return RetryAfter(0, f"email: {code}, not now")


def _message_id(message: Message) -> str:
    return f"<{sha256(message.id.encode()).hexdigest()[:32]}@islet.invalid>"


def _mail(message: Message, sender: str, address: str, now_us: int) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = "".join(c if c.isprintable() else " " for c in message.title) or " "
    mail["From"], mail["To"] = sender, address
    mail["Date"] = from_us(now_us)  # RFC 5322, 3.6: no mail is without
    mail["Message-ID"] = _message_id(message)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is to answer
    if message.urgent:
        mail["Importance"] = "high"
    link = f"\n\n{message.acknowledge_url}" if message.acknowledge_url else ""
    mail.set_content(message.text + link)
    return mail
