"""Configurations over HTTPS, in IoT Hub's paths and JSON (`/configurations`).

They change twins of many devices, so they are for who may command devices.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from msgspec import structs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_configurations import Configuration, TestedQueries, parse_configuration, parse_target
from islet.decode.iothub_query import parse_query
from islet.decode.iothub_twins import JsonObject
from islet.errors import AlreadyExists, BadInput
from islet.gateways.authenticate import Authenticator
from islet.gateways.configurations import Counts, find_configuration, put_configuration, read_configurations
from islet.gateways.http_answers import ConfigurationNotFound, PreconditionFailed
from islet.gateways.http_body import number_in, read_body
from islet.model.foreign_json import UNREADABLE
from islet.model.time import Now, iso
from islet.store.base import Registry

MOST: Final = 100


class Applied(Protocol):
    """The part of `islet.gateways.configurations.Configurations` that is used here."""

    def counts(self, id: str, /) -> Counts: ...
    def changed(self) -> None: ...


class ConfigurationEndpoints:
    """Handlers; each checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, registry: Registry, now: Now, applied: Applied) -> None:
        self._authenticator, self._registry, self._now, self._applied = authenticator, registry, now, applied
        self._writing = asyncio.Lock()

    async def list_all(self, request: Request) -> Response:
        """At most `top` of them, all where it is not given."""
        self._check(request, "configurations")
        top = number_in(request.query_params.get("top", str(MOST)), "top", MOST)
        found = await asyncio.to_thread(read_configurations, self._registry)
        return JSONResponse([self._json(one) for one in list(found.values())[:top]])

    async def get(self, request: Request) -> Response:
        id, _ = self._about(request)
        return self._answer(await asyncio.to_thread(self._found, id))

    async def put(self, request: Request) -> Response:
        """200 with the configuration; 409 for a second one without If-Match, 412 and 404 as for devices. Its content
        stays as it was made."""
        id, by = self._about(request)
        wanted = parse_configuration(await read_body(request), id)
        async with self._writing:
            made = await asyncio.to_thread(self._put, wanted, request.headers.get("if-match"), by)
        self._applied.changed()
        return self._answer(made)

    async def delete(self, request: Request) -> Response:
        """204; what it has set stays."""
        id, by = self._about(request)
        async with self._writing:
            _matching(await asyncio.to_thread(self._found, id), request.headers.get("if-match", "*"))
            await asyncio.to_thread(self._keep, id, None, by)
        self._applied.changed()
        return Response(status_code=204)

    async def test_queries(self, request: Request) -> Response:
        """200 with what is wrong with a condition and with queries."""
        self._check(request, "configurations")
        try:
            tested = msgspec.json.decode(await read_body(request), type=TestedQueries)
        except UNREADABLE:
            raise BadInput("expected targetCondition and customMetricQueries", reason="schema") from None
        modules = tested.target_condition.strip().lower().startswith("from devices.modules")
        errors = {name: _wrong(parse_query, text) for name, text in tested.custom_metric_queries.items()}
        return JSONResponse(
            {
                "targetConditionError": _wrong(
                    lambda text: parse_target(text, modules=modules), tested.target_condition
                ),
                "customMetricQueryErrors": {name: error for name, error in errors.items() if error},
            }
        )

    def _about(self, request: Request) -> tuple[str, str]:
        """The id in the path, and who asks."""
        id: str = request.path_params["id"]
        return id, self._check(request, f"configurations/{id}")

    def _check(self, request: Request, path: str) -> str:
        return self._authenticator.check_service(path, request.headers.get("authorization", ""))

    def _found(self, id: str) -> Configuration:
        one = find_configuration(self._registry, id)
        if one is None:
            raise ConfigurationNotFound(f"Configuration with ID '{id}' is not there.")
        return one

    def _put(self, wanted: Configuration, if_match: str | None, by: str) -> Configuration:
        now_us, etag = self._now(), base64.b64encode(secrets.token_bytes(8)).decode()
        if if_match is None:
            present = read_configurations(self._registry)
            if wanted.id in present:
                raise AlreadyExists(f"A configuration with ID '{wanted.id}' exists already.")
            if len(present) >= MOST:
                raise BadInput(f"configurations: expected at most {MOST}", reason="configurations")
            made = structs.replace(wanted, created_us=now_us, updated_us=now_us, etag=etag)
        else:
            known = _matching(self._found(wanted.id), if_match)
            if wanted.content != known.content:
                raise BadInput("content: expected as it was made; make another configuration", reason="content")
            made = structs.replace(wanted, created_us=known.created_us, updated_us=now_us, etag=etag)
        self._keep(made.id, made, by)
        return made

    def _keep(self, id: str, one: Configuration | None, by: str) -> None:
        put_configuration(self._registry, id, one, by=by, at_us=self._now())

    def _answer(self, one: Configuration) -> Response:
        return JSONResponse(self._json(one), headers={"ETag": f'"{one.etag}"'})

    def _json(self, one: Configuration) -> JsonObject:
        counts = self._applied.counts(one.id)
        return {
            "id": one.id,
            "schemaVersion": "1.0",
            "labels": {**one.labels},
            "content": one.content,
            "targetCondition": one.target,
            "createdTimeUtc": iso(one.created_us),
            "lastUpdatedTimeUtc": iso(one.updated_us),
            "priority": one.priority,
            "systemMetrics": {
                "results": {"targetedCount": counts.targeted, "appliedCount": counts.applied},
                "queries": {},
            },
            "metrics": {"results": {**counts.metrics}, "queries": {**one.metrics}},
            "etag": one.etag,
        }


def _matching(one: Configuration, if_match: str) -> Configuration:
    if if_match.strip('"') not in ("*", one.etag):
        raise PreconditionFailed("expected If-Match to be the configuration's present etag, or *; read it again")
    return one


def _wrong(parse: Callable[[str], object], text: str) -> str:
    """What is wrong with it, "" where nothing is."""
    try:
        parse(text)
    except BadInput as error:
        return str(error)
    return ""
