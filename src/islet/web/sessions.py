"""Who asks: log-in, log-out, and the viewer behind a cookie or a bearer token."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from islet.access.decide import Action, decide, seen
from islet.access.keys import is_valid, key_id
from islet.access.passwords import new_token, nobodys_hash, token_hash, verify_password
from islet.access.second_factor import taken
from islet.errors import AccessDenied, IsletError
from islet.model.people import Principal, Role, User
from islet.store.principals import read_key
from islet.store.second_factors import put_second_factor, read_second_factor
from islet.store.turned_away import API_KEY, LOG_IN
from islet.web.addresses import address_of
from islet.web.attempts import Attempts
from islet.web.context import WebContext
from islet.web.hashing import RETRY_S, Hashing
from islet.web.updates import Audience

_NOBODY: Final = nobodys_hash()
"""An unknown name, and somebody who was invited, is checked against this, so that it takes as long as anybody."""
_KEY: Final = "key:"
_CODE: Final = "/code"
"""Attempts at somebody's code are counted apart from those at their password, under their name with this end."""
_WAITS: Final = "second factor"
"""As the key of a session that waits for its code. It is no key's id, so that nothing takes it for a session."""
_WAITS_S: Final = 300


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
    key: str = ""
    """The id of the key that they came with, or that their token was made with; "" where it was a session."""

    @property
    def name(self) -> str:
        """Who did it, for the audit trail and for people."""
        return f"{self.user.name} ({self.by})" if self.by else self.user.name

    @property
    def only(self) -> str:
        """The one patient whom somebody at home sees: themselves, or whom they care for; "" for all others."""
        audience = self.audience if self.user.role in (Role.PATIENT, Role.CARE_PARTNER) else None
        return next(iter(audience)) if audience is not None and len(audience) == 1 else ""

    @property
    def sees_labels(self) -> bool:
        """Whether what staff call patients is for them. Applications have ids alone: labels never leave the portal."""
        return self.user.role is not Role.APPLICATION

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
    codes: threading.Lock = field(default_factory=threading.Lock)
    """A second factor's code is read and marked as used by one request at a time; two at once would both be taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """A password that fits: a new session's token; or, where a second factor is asked for, the token of one that waits
    for its code."""

    user: User
    token: str
    waits: bool


async def log_in(
    context: WebContext, door: Door, name: str, password: str, address: str, browser: str
) -> Entered | None:
    """A new session; None when name and password do not fit, or the user is disabled. `browser`: see `browsers`.

    Raises TooManyAttempts while that name or address has to wait, or when too many are waiting for their check.
    """
    if door.hashing.full:
        raise TooManyAttempts(RETRY_S)
    begin_attempt(context, door, name, address, browser)
    entered = await door.hashing.run(lambda: _enter(context, name, password))
    if entered is None:
        context.turned_away(LOG_IN, name, address)
    else:
        door.attempts.succeeded(name, address, context.now(), browser)
    return entered


def begin_attempt(context: WebContext, door: Door, name: str, address: str, browser: str) -> None:
    """Count an attempt to get in. Raises TooManyAttempts while that name or address has to wait."""
    wait_us = door.attempts.begin(name, address, context.now(), browser)
    if wait_us > 0:
        context.turned_away(LOG_IN, name.removesuffix(_CODE), address)
        raise TooManyAttempts(max(1, round(wait_us / 1e6 / context.speed)))


def enter_with_code(context: WebContext, door: Door, pending: str, code: str, address: str, browser: str) -> str | None:
    """A session's token for one that waits, or None where the code is wrong. Raises NotLoggedIn, TooManyAttempts."""
    waiting = context.registry.session(token_hash(pending), context.now())
    user = None if waiting is None or waiting.key != _WAITS else context.registry.user(waiting.user)
    if user is None or not user.enabled:
        raise NotLoggedIn("too late; log in again")
    if not take_code(context, door, user.name, code, address, browser):
        return None
    door.attempts.succeeded(user.name, address, context.now(), browser)  # the browser is known from now on
    context.registry.delete_session(token_hash(pending))
    return _new_session(context, user)


def take_code(context: WebContext, door: Door, user: str, code: str, address: str, browser: str = "") -> bool:
    """Whether the code is one of theirs that was not used before; it is used then. Raises TooManyAttempts."""
    begin_attempt(context, door, user + _CODE, address, browser)
    with door.codes:
        factor = read_second_factor(context.registry, user)
        after = None if factor is None else taken(factor, code, context.wall_us())
        if after is not None:
            put_second_factor(context.registry, user, after)
    if after is None:
        context.turned_away(LOG_IN, user, address)
    else:
        door.attempts.succeeded(user + _CODE, address, context.now(), browser)
    return after is not None


def _enter(context: WebContext, name: str, password: str) -> Entered | None:
    user = context.registry.user(name)
    fits = verify_password(user.password_hash or _NOBODY if user else _NOBODY, password)
    if user is None or not user.enabled or not fits:
        return None
    return _passed(context, user)


def enter_as(context: WebContext, name: str) -> Entered | None:
    """For somebody whom a provider vouches for; None where they are disabled or gone."""
    user = context.registry.user(name)
    return _passed(context, user) if user is not None and user.enabled else None


def _passed(context: WebContext, user: User) -> Entered:
    """A session, or the wait for the second factor."""
    factor = read_second_factor(context.registry, user.name)
    if factor is None or not factor.confirmed:
        return Entered(user=user, token=_new_session(context, user), waits=False)
    token, ends_us = new_token(), context.after_us(_WAITS_S)
    context.registry.create_session(token_hash(token), user.name, ends_us, context.now(), key=_WAITS)
    return Entered(user=user, token=token, waits=True)


def _new_session(context: WebContext, user: User) -> str:
    token, ends_us = new_token(), context.after_us(context.session_h * 3600)
    context.registry.create_session(token_hash(token), user.name, ends_us, context.now())
    context.registry.note("logged in", "user", user.name, by=user.name, at_us=context.now())
    return token


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
    try:
        viewer = _viewer(context, token)
    except NotLoggedIn:
        if key_id(token):
            context.turned_away(API_KEY, key_id(token), address_of(connection, context.proxies))
        raise
    if viewer.by:
        used = f"used: {connection.scope.get('method', 'GET')} {connection.url.path}"
        context.registry.note(used, "impersonation", viewer.user.name, by=viewer.by, at_us=context.now())
    return viewer


def key_of(viewer: Viewer) -> str:
    """The id of the key that they came with; "" where it was a session, or a token made with a key."""
    return viewer.credential.removeprefix(_KEY) if viewer.credential.startswith(_KEY) else ""


def own_viewer(viewer: Viewer) -> None:
    """Raises AccessDenied for who acts as somebody else, and for keys and their tokens."""
    if viewer.by or viewer.key:
        raise AccessDenied("only the person themselves may do this")


def still(context: WebContext, viewer: Viewer, audience: Audience, action: Action) -> bool:
    """Whether the credential holds and its owner sees what they saw; a stream ends otherwise."""
    try:
        now = again(context, viewer)
    except NotLoggedIn:
        return False
    return now.principal == viewer.principal and now.audience_for(action) == audience


def _viewer(context: WebContext, token: str) -> Viewer:
    id = key_id(token)
    if not id:
        return _of_session(context, token_hash(token))
    key = read_key(context.registry, id)
    if key is None or not is_valid(key, token, context.now()):
        raise NotLoggedIn("the key is not valid, or not any more")
    return _of_key(context, id)


def again(context: WebContext, viewer: Viewer) -> Viewer:
    """The viewer by the same credential, with what they may do by now. Raises NotLoggedIn."""
    if viewer.credential.startswith(_KEY):
        return _of_key(context, viewer.credential.removeprefix(_KEY))
    return _of_session(context, viewer.credential)


def _of_session(context: WebContext, hash: str) -> Viewer:
    session = context.registry.session(hash, context.now())
    if session is None:
        raise NotLoggedIn("the session is over; log in again")
    scope = _scope(context, session.key) if session.key else None
    return _made(context, session.user, scope, hash, by=session.by, key=session.key)


def _of_key(context: WebContext, id: str) -> Viewer:
    key = read_key(context.registry, id)
    if key is None:
        raise NotLoggedIn("the key is not valid any more")
    return _made(context, key.user, _scope(context, id), f"{_KEY}{id}", key=id)


def _scope(context: WebContext, id: str) -> tuple[str, ...] | None:
    """The scope of a key that holds. Raises NotLoggedIn."""
    key = read_key(context.registry, id)
    if key is None or context.now() >= key.expires_us:
        raise NotLoggedIn("the key is not valid any more")
    return key.scope


def _made(
    context: WebContext, name: str, scope: tuple[str, ...] | None, credential: str, *, by: str = "", key: str = ""
) -> Viewer:
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
        key=key,
    )


def _enabled(context: WebContext, name: str) -> User:
    user = context.registry.user(name)
    if user is None or not user.enabled:
        raise NotLoggedIn("the session is over; log in again")
    return user
