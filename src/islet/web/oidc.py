"""Log-in through an OpenID provider: authorization code with PKCE; the ID token is checked here. Needs the extra `oidc`.

Sources: OpenID Connect Core 1.0 (3.1), Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (the issuer in the answer), RFC 9700.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final, TypeVar, cast
from urllib.parse import urlencode

import httpx
import msgspec
from msgspec import Struct

from islet.errors import AccessDenied, BadInput, SettingError
from islet.model.foreign_json import UNREADABLE
from islet.model.time import Now
from islet.settings import Settings

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures only: neither none nor one whose key the client has (HS256)."""
CLOCKS_APART_S: Final = 60
_PATIENCE_S: Final = 10.0

Told = TypeVar("Told")


class Registration(Struct, frozen=True, kw_only=True):
    """What the provider knows this installation by. Without a secret it is a public client."""

    issuer: str
    client_id: str
    client_secret: str = ""
    name: str = ""
    """What the provider is called on the log-in page."""


class Begun(Struct, frozen=True, kw_only=True):
    """A log-in that was begun: kept in the browser's cookie until it comes back. `link`: it does not log in, it links the
    account at the provider to the user who is logged in."""

    state: str
    nonce: str
    verifier: str
    next: str = "/"
    link: bool = False


def provider_of(settings: Settings, wall: Now) -> "Provider | None":
    """The provider that the settings name, if they name one. Raises SettingError."""
    if not settings.oidc_issuer:
        return None
    known = Registration(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        name=settings.oidc_name,
    )
    return Provider(known, wall)


class _Endpoints(Struct, frozen=True, kw_only=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct, frozen=True, kw_only=True):
    id_token: str


class Provider:
    """One OpenID provider; asks it where its endpoints and keys are when they are first needed."""

    def __init__(self, known: Registration, wall: Now, client: httpx.AsyncClient | None = None) -> None:
        """Raises SettingError where what checks ID tokens is not installed."""
        try:
            import joserfc  # noqa: F401
        except ImportError:
            raise SettingError("oidc_issuer needs the extra `oidc`: pip install islet[oidc]") from None
        self.known = known
        self._wall = wall
        self._client = client or httpx.AsyncClient(timeout=_PATIENCE_S)
        self._endpoints: _Endpoints | None = None

    async def begin(self, redirect_uri: str, *, next: str = "/", link: bool = False) -> tuple[str, Begun]:
        """Where to send the browser, and what to keep until it comes back. Raises BadInput, httpx.HTTPError."""
        endpoints = await self._found()
        begun = Begun(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=next,
            link=link,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.known.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        join = "&" if "?" in endpoints.authorization_endpoint else "?"
        return f"{endpoints.authorization_endpoint}{join}{urlencode(asked)}", begun

    async def finish(self, begun: Begun, answer: Mapping[str, str], redirect_uri: str) -> str:
        """The subject whom the provider vouches for, from the query that the browser came back with.

        Raises AccessDenied where anything does not fit, and httpx.HTTPError where the provider cannot be asked.
        """
        endpoints = await self._found()
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise AccessDenied("this log-in was not begun here")
        if answer.get("iss", endpoints.issuer) != endpoints.issuer:
            raise AccessDenied("the answer comes from another provider")
        if "code" not in answer:
            raise AccessDenied("the provider has refused the log-in")
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": redirect_uri,
            "code_verifier": begun.verifier,
            "client_id": self.known.client_id,
        }
        secret = self.known.client_secret
        login = httpx.BasicAuth(self.known.client_id, secret) if secret else None
        told = await self._client.post(endpoints.token_endpoint, data=form, auth=login or httpx.USE_CLIENT_DEFAULT)
        if told.status_code != 200:
            raise AccessDenied("the provider did not take the code")
        return await self._subject(_decoded(told.content, _Tokens).id_token, begun.nonce, endpoints)

    async def _subject(self, id_token: str, nonce: str, endpoints: _Endpoints) -> str:
        """The subject of an ID token that is good (OpenID Connect Core, 3.1.3.7). Raises AccessDenied."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet, KeySetSerialization

        answer = (await self._client.get(endpoints.jwks_uri)).raise_for_status()
        keys = cast(KeySetSerialization, _decoded(answer.content, dict[str, object]))  # it checks each key itself
        now_s = self._wall() // 1_000_000
        wanted = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=CLOCKS_APART_S,
            iss={"essential": True, "value": endpoints.issuer},
            aud={"essential": True, "value": self.known.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(id_token, KeySet.import_key_set(keys), list(ALGORITHMS)).claims
            wanted.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise AccessDenied("the provider's token is not good") from None
        many = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if many else self.known.client_id) != self.known.client_id:
            raise AccessDenied("the provider's token is for another application")
        return str(claims["sub"])

    async def _found(self) -> _Endpoints:
        if self._endpoints is None:
            base = self.known.issuer.rstrip("/")
            told = await self._client.get(f"{base}/.well-known/openid-configuration")
            found = _decoded(told.raise_for_status().content, _Endpoints)
            if found.issuer != self.known.issuer:  # Discovery 1.0, 4.3
                raise BadInput("the provider calls itself by another name than oidc_issuer", reason="oidc")
            self._endpoints = found
        return self._endpoints


def _decoded(content: bytes, kind: type[Told]) -> Told:
    try:
        return msgspec.json.decode(content, type=kind)
    except UNREADABLE:
        raise BadInput("the provider said something that is not OpenID Connect", reason="oidc") from None
