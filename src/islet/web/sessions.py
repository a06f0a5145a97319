"""Who asks: log-in, log-out, and the viewer behind a cookie or a bearer token."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from islet.access.decide import EVERYBODY, Action, decide, visible
from islet.access.passwords import hash_password, new_token, token_hash, verify_password
from islet.errors import AccessDenied, IsletError
from islet.model.people import Principal, User
from islet.web.attempts import Attempts
from islet.web.context import WebContext
from islet.web.hashing import RETRY_S, Hashing
from islet.web.updates import Audience

_NOBODY: Final = hash_password(new_token())
"""An unknown name is checked against this, so that it takes as long as a known one."""


class NotLoggedIn(IsletError):
    """There is no session, or it is over."""


class TooManyAttempts(IsletError):
    """Log-in has to wait; `wait_s` seconds of the wall's clock."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many attempts; wait {wait_s} s")
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """A logged-in person or application."""

    user: User
    principal: Principal
    session: str

    @property
    def audience(self) -> Audience:
        """The patients they may see; None means everybody."""
        if visible(self.principal, EVERYBODY):
            return None
        return frozenset(patient for patient in self.principal.patients if visible(self.principal, patient))

    def may(self, action: Action, patient: str | None = None) -> bool:
        return decide(self.principal, action, patient).allowed

    def require(self, action: Action, patient: str | None = None) -> None:
        """Raises AccessDenied with the reason."""
        decision = decide(self.principal, action, patient)
        if not decision.allowed:
            raise AccessDenied(decision.reason)


def cookie_name(context: WebContext) -> str:
    """With TLS the `__Host-` prefix: the browser then takes the cookie from this host alone (RFC 6265bis, 4.1.3.2)."""
    return "__Host-islet_session" if context.secure else "islet_session"


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """What all log-ins of a portal pass: how often somebody may try, and how many passwords are checked at once."""

    attempts: Attempts
    hashing: Hashing


async def log_in(context: WebContext, door: Door, name: str, password: str, address: str) -> tuple[User, str] | None:
    """The user and a new session's token; None when name and password do not fit, or the user is disabled.

    Raises TooManyAttempts while that name or address has to wait, or when too many are waiting for their check.
    """
    if door.hashing.full:
        raise TooManyAttempts(RETRY_S)
    wait_us = door.attempts.begin(name, address, context.now())
    if wait_us > 0:
        raise TooManyAttempts(max(1, round(wait_us / 1e6 / context.speed)))
    entered = await door.hashing.run(lambda: _enter(context, name, password))
    if entered is not None:
        door.attempts.succeeded(name, address, context.now())
    return entered


def _enter(context: WebContext, name: str, password: str) -> tuple[User, str] | None:
    user = context.registry.user(name)
    fits = verify_password(user.password_hash if user else _NOBODY, password)
    if user is None or not user.enabled or not fits:
        return None
    token = new_token()
    context.registry.create_session(
        token_hash(token), user.name, context.after_us(context.session_h * 3600), context.now()
    )
    return user, token


def set_session_cookie(context: WebContext, response: Response, token: str) -> None:
    response.set_cookie(
        cookie_name(context),
        token,
        max_age=round(context.session_h * 3600),
        path="/",
        secure=context.secure,
        httponly=True,
        samesite="lax",
    )


def log_out(context: WebContext, viewer: Viewer) -> None:
    """End the session, and every stream that lives by it."""
    context.registry.delete_session(viewer.session)
    context.live.recheck()


def viewer_of(context: WebContext, connection: HTTPConnection) -> Viewer:
    """Who asks, by bearer token or session cookie. Raises NotLoggedIn."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    token = credential.strip() if scheme.lower() == "bearer" else connection.cookies.get(cookie_name(context), "")
    if not token:
        raise NotLoggedIn("log in first")
    return _viewer(context, token_hash(token))


def still(context: WebContext, viewer: Viewer) -> bool:
    """Whether the session holds and sees what it saw; a stream ends otherwise."""
    try:
        return _viewer(context, viewer.session).principal == viewer.principal
    except NotLoggedIn:
        return False


def _viewer(context: WebContext, session: str) -> Viewer:
    user = context.registry.session_user(session, context.now())
    if user is None:
        raise NotLoggedIn("the session is over; log in again")
    principal = Principal(kind=user.role, name=user.name, patients=user.patients)
    return Viewer(user=user, principal=principal, session=session)
