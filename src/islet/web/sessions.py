"""Who asks: log-in, log-out, and the viewer behind a cookie or a bearer token."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from islet.access.decide import Action, decide, seen
from islet.access.keys import is_valid, key_id
from islet.access.passwords import hash_password, new_token, token_hash, verify_password
from islet.errors import AccessDenied, IsletError
from islet.model.people import Principal, User
from islet.store.principals import read_key
from islet.web.attempts import Attempts
from islet.web.context import WebContext
from islet.web.hashing import RETRY_S, Hashing
from islet.web.updates import Audience

_NOBODY: Final = hash_password(new_token())
"""An unknown name is checked against this, so that it takes as long as a known one."""
_KEY: Final = "key:"


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
    credential: str
    """The hash of their session's token, or the id of their key."""
    everybody: Callable[[], Iterable[str]]
    """The ids of all patients."""
    by: str = ""
    """Who acts as the user; "" where the user does."""

    @property
    def name(self) -> str:
        """Who did it, for the audit trail and for people."""
        return f"{self.user.name} ({self.by})" if self.by else self.user.name

    @property
    def audience(self) -> Audience:
        """The patients they may see; None means everybody."""
        return self.audience_for(Action.VIEW_PATIENT)

    def audience_for(self, action: Action) -> Audience:
        """The patients for whom they may do it; None means everybody."""
        return seen(self.principal, action, self.everybody)

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
    context.registry.delete_session(viewer.credential)
    context.live.recheck()


def viewer_of(context: WebContext, connection: HTTPConnection) -> Viewer:
    """Who asks, by bearer token or session cookie. Raises NotLoggedIn."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    token = credential.strip() if scheme.lower() == "bearer" else connection.cookies.get(cookie_name(context), "")
    if not token:
        raise NotLoggedIn("log in first")
    viewer = _viewer(context, token)
    if viewer.by:
        used = f"used: {connection.scope.get('method', 'GET')} {connection.url.path}"
        context.registry.note(used, "impersonation", viewer.user.name, by=viewer.by, at_us=context.now())
    return viewer


def key_of(viewer: Viewer) -> str:
    """The id of the key that they came with; "" where it was a session, or a token made with a key."""
    return viewer.credential.removeprefix(_KEY) if viewer.credential.startswith(_KEY) else ""


def still(context: WebContext, viewer: Viewer, audience: Audience, action: Action) -> bool:
    """Whether the credential holds and its owner sees what they saw; a stream ends otherwise."""
    try:
        again = _again(context, viewer.credential)
    except NotLoggedIn:
        return False
    return again.principal == viewer.principal and again.audience_for(action) == audience


def _viewer(context: WebContext, token: str) -> Viewer:
    id = key_id(token)
    if not id:
        return _of_session(context, token_hash(token))
    key = read_key(context.registry, id)
    if key is None or not is_valid(key, token, context.now()):
        raise NotLoggedIn("the key is not valid, or not any more")
    return _of_key(context, id)


def _again(context: WebContext, credential: str) -> Viewer:
    if credential.startswith(_KEY):
        return _of_key(context, credential.removeprefix(_KEY))
    return _of_session(context, credential)


def _of_session(context: WebContext, hash: str) -> Viewer:
    session = context.registry.session(hash, context.now())
    if session is None:
        raise NotLoggedIn("the session is over; log in again")
    scope = _scope(context, session.key) if session.key else None
    return _made(context, session.user, scope, hash, session.by)


def _of_key(context: WebContext, id: str) -> Viewer:
    key = read_key(context.registry, id)
    if key is None:
        raise NotLoggedIn("the key is not valid any more")
    return _made(context, key.user, _scope(context, id), f"{_KEY}{id}", "")


def _scope(context: WebContext, id: str) -> tuple[str, ...] | None:
    """The scope of a key that holds. Raises NotLoggedIn."""
    key = read_key(context.registry, id)
    if key is None or context.now() >= key.expires_us:
        raise NotLoggedIn("the key is not valid any more")
    return key.scope


def _made(context: WebContext, name: str, scope: tuple[str, ...] | None, credential: str, by: str) -> Viewer:
    user = _enabled(context, name)
    now_us = context.now()
    if by and not decide(context.principals.of_user(_enabled(context, by), now_us), Action.IMPERSONATE).allowed:
        raise NotLoggedIn("the one who acts for this user may not any more")
    return Viewer(
        user=user,
        principal=context.principals.of_user(user, now_us, scope),
        credential=credential,
        everybody=lambda: (patient.id for patient in context.registry.patients()),
        by=by,
    )


def _enabled(context: WebContext, name: str) -> User:
    user = context.registry.user(name)
    if user is None or not user.enabled:
        raise NotLoggedIn("the session is over; log in again")
    return user
