"""The platform that runs on this data directory, called as services call the hub."""

from typing import Any

import httpx

from islet.access.sas import make_token
from islet.clock import wall_us
from islet.errors import IsletError
from islet.gateways.certificates import client_ssl_context, ensure_certificates
from islet.model.time import SECOND_US
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.hub_policies import policy_key

_VERSION = "2021-04-12"
_TOKEN_S = 300


class HubClient:
    """`policy`: the hub policy that it calls as. Raises IsletError where there never was a platform."""

    def __init__(self, settings: Settings, policy: str = "service") -> None:
        with opened_registry(settings) as registry:
            key = policy_key(registry, policy)
        if not key:
            raise IsletError("there is no platform here yet; start one with `islet serve` on this data directory")
        token = make_token(settings.hub_name, key, wall_us() // SECOND_US + _TOKEN_S, policy)
        if settings.https_port:
            authority = ensure_certificates(settings.data_dir, settings.hub_name, wall_us()).authority
            self._base, verify = f"https://{settings.hub_name}:{settings.https_port}", client_ssl_context(authority)
            self._client = httpx.Client(base_url=self._base, verify=verify)
        else:
            self._base = f"http://{settings.host}:{settings.http_plain_port}"
            self._client = httpx.Client(base_url=self._base)
        self._client.headers["Authorization"] = token

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """The answer's JSON. Raises IsletError with what the platform says."""
        try:
            answer = self._client.request(method, path, json=body, params={"api-version": _VERSION, **query})
        except httpx.HTTPError as error:
            raise IsletError(f"no platform answers at {self._base} ({type(error).__name__})") from None
        if answer.status_code >= 300:
            raise IsletError(_said(answer))
        return answer.json()


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["Message"]).partition(";")[2]
    except (ValueError, KeyError, TypeError):
        return f"the platform answers {answer.status_code}"
