"""Devices announce a file that they upload, and say what became of it, in IoT Hub's paths and JSON.

Source: MicrosoftDocs azure-docs, iot-hub-devguide-file-upload.md.
"""

import asyncio
import re
from typing import Final
from urllib.parse import quote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.upload_tokens import make_upload_token
from islet.decode.block_lists import check_name
from islet.errors import BadInput, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_body import admitted, read_body
from islet.model.foreign_json import parse
from islet.store.device_file_rows import CONTAINER
from islet.store.device_files import DeviceFiles

_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_OF_IDS: Final = "-:.+_*!(),=@;$'"
"""What may be in a device's id and can stand in an address as it is."""


class _Wanted(Struct, rename="camel"):
    blob_name: str


class _Outcome(Struct, rename="camel"):
    is_success: bool
    correlation_id: str | None = None
    status_code: int | str | None = None
    status_description: str | None = None


class FileEndpoints:
    """What devices call; each handler checks the device's credential itself."""

    def __init__(self, authenticator: Authenticator, files: DeviceFiles) -> None:
        self._authenticator, self._files = authenticator, files

    async def begin(self, request: Request) -> Response:
        """200 with the address of a file that may be written for an hour; 403 where too many are under way or kept."""
        identity, device = admitted(self._authenticator, request)
        name = request.path_params.get("name")
        if name is None:
            name = parse(await read_body(request), _Wanted, "file").blob_name
        check_name(name)
        address, now_us = self._authenticator.address(identity, device), self._authenticator.wall_now()
        file = await asyncio.to_thread(self._files.begin, address, device.patient, name, now_us)
        return JSONResponse(
            {
                "correlationId": file.id,
                "hostName": self._host(request),
                "containerName": CONTAINER,
                "blobName": f"{quote(file.device, safe=_OF_IDS)}/{file.name}",
                "sasToken": make_upload_token(file.id, file.name, file.until_us, self._files.token_key),
            }
        )

    async def end(self, request: Request) -> Response:
        """204: the upload is closed, for good; 400 for a correlationId that is none of this device."""
        identity, device = admitted(self._authenticator, request)
        outcome = parse(await read_body(request), _Outcome, "notification")
        id = request.path_params.get("correlation") or outcome.correlation_id or ""
        address, now_us = self._authenticator.address(identity, device), self._authenticator.wall_now()
        try:
            await asyncio.to_thread(self._files.end, id, address, now_us, success=outcome.is_success)
        except NotFound:
            raise BadInput("correlationId: expected one that this device was given", reason="correlation") from None
        return Response(status_code=204)

    def _host(self, request: Request) -> str:
        """Where the device reaches us: it has just done so. SDKs leave the port out, as theirs is 443."""
        host = request.headers.get("host", "")
        return host if _HOST.fullmatch(host) else self._authenticator.hub_name
