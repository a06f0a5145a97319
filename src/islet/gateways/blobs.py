"""Devices write the files that they have announced, as they would at Azure's Blob Storage: Put Blob, Put Block and Put
Block List, and nothing else. Nothing can be read here.

Source: learn.microsoft.com, Azure Storage REST API. Checked with @azure/storage-blob and azure-storage-blob.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import formatdate
from typing import Final, TypeVar
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

import structlog
from starlette.requests import Request
from starlette.responses import Response

from islet.access.upload_tokens import check_upload_token, named_upload
from islet.decode.block_lists import check_block, parse_block_list
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.http_answers import Crowded, TooLarge
from islet.gateways.http_body import read_body
from islet.store.device_file_rows import MOST_BLOCKS, DeviceFile, FileQuota, FileThere, FileTooLarge
from islet.store.device_files import DeviceFiles, Piece
from islet.store.turned_away import REQUEST

_PIECE_BYTES: Final = 256 * 1024
"""What of a request is in memory."""

_MOST_AT_ONCE: Final = 128
_MOST_OF_ONE_AT_ONCE: Final = 32
"""The SDK for Node sends 20 blocks at a time."""

_LONGEST_LENGTH: Final = 20
_THREADS: Final = 2
"""For what is written to the disk, so that uploads leave the others' threads alone."""

_UNSUPPORTED: Final = ("x-ms-structured-body", "x-ms-content-crc64", "x-ms-encryption-key", "x-ms-copy-source")
_ERRORS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (AccessDenied, 403, "AuthenticationFailed"),
    (NotFound, 404, "BlobNotFound"),
    (FileThere, 409, "BlobAlreadyExists"),
    (FileQuota, 409, "BlockCountExceedsLimit"),
    (FileTooLarge, 413, "RequestBodyTooLarge"),
    (TooLarge, 413, "RequestBodyTooLarge"),
    (Crowded, 503, "ServerBusy"),
    (OSError, 503, "ServerBusy"),
)
_BAD_INPUT: Final = {
    "block_list": "InvalidBlockList",
    "xml": "InvalidXmlDocument",
    "md5": "Md5Mismatch",
    "header": "UnsupportedHeader",
}
Result = TypeVar("Result")
_log = structlog.get_logger("islet.gateways.blobs")


class BlobEndpoint:
    """The handler; a token in the address is its credential, and the device has to be one that may send."""

    def __init__(self, authenticator: Authenticator, files: DeviceFiles) -> None:
        self._authenticator, self._files = authenticator, files
        self._workers = ThreadPoolExecutor(_THREADS, "blobs")
        self._requests = Counter[str]()
        self._coming = Counter[str]()
        """By device: requests, and bytes of theirs that no file has yet."""

    async def put(self, request: Request) -> Response:
        """201 once it is durable; errors in Azure Storage's form."""
        try:
            headers = await self._put(request)
        except (IsletError, OSError) as error:
            if isinstance(error, AccessDenied):
                self._authenticator.turned_away(REQUEST, "", request.client.host if request.client else "")
            if isinstance(error, OSError):
                _log.error("upload_not_kept", error=type(error).__name__)
            return _refused(error, request)
        return Response(status_code=201, headers=_common(request) | headers)

    async def _put(self, request: Request) -> dict[str, str]:
        file = await self._admitted(request)
        kind = request.query_params.get("comp", "")
        with self._counted(file.device):
            if kind == "block":
                return await self._put_block(request, file)
            if kind == "blocklist":
                return await self._put_list(request, file)
            if kind == "":
                return await self._put_whole(request, file)
        raise BadInput("comp: expected block or blocklist, or none", reason="query")

    async def _admitted(self, request: Request) -> DeviceFile:
        """The file that the token is for. Raises AccessDenied, which says nothing of what there is."""
        query = request.query_params
        try:
            file = await self._in_thread(self._files.file, named_upload(query))
        except NotFound:
            raise AccessDenied("the token is not one of this file") from None
        now_us = self._authenticator.wall_now()
        check_upload_token(query, file.id, file.name, file.until_us, now_us, self._files.token_key)
        # clients encode what is in a name as each of them likes
        if unquote_plus(request.path_params["name"]) != unquote_plus(f"{file.device}/{file.name}"):
            raise AccessDenied("the token is not one of this file")
        self._check_device(file)
        return file

    def _check_device(self, file: DeviceFile) -> None:
        """Raises AccessDenied unless it is the device that began, and may still send, for the same patient."""
        device = self._authenticator.device(file.device)
        if device is None or not device.enabled or device.generation_id != file.generation:
            raise AccessDenied("the device is disabled, or not registered any more")
        if device.patient != file.patient or not self._authenticator.may_send(device):
            raise AccessDenied("the device may not send for this patient")

    async def _put_whole(self, request: Request, file: DeviceFile) -> dict[str, str]:
        if request.headers.get("x-ms-blob-type", "").lower() != "blockblob":
            raise BadInput("x-ms-blob-type: expected BlockBlob", reason="header")
        piece = await self._taken(request, file)
        now_us, only_new = self._authenticator.wall_now(), _only_new(request)
        await self._handed(piece, file, lambda: self._files.put(file.id, piece, now_us, only_new=only_new))
        return {"Content-MD5": piece.md5} | _changed(now_us)

    async def _put_block(self, request: Request, file: DeviceFile) -> dict[str, str]:
        block = check_block(request.query_params.get("blockid", ""))
        piece = await self._taken(request, file)
        now_us = self._authenticator.wall_now()
        await self._handed(piece, file, lambda: self._files.put_block(file.id, block, piece, now_us))
        return {"Content-MD5": piece.md5}

    async def _put_list(self, request: Request, file: DeviceFile) -> dict[str, str]:
        wanted = parse_block_list(await read_body(request), MOST_BLOCKS)
        self._check_device(file)
        now_us, only_new = self._authenticator.wall_now(), _only_new(request)
        await self._in_thread(lambda: self._files.put_together(file.id, wanted, now_us, only_new=only_new))
        return _changed(now_us)

    async def _taken(self, request: Request, file: DeviceFile) -> Piece:
        """The body, durable in a piece that no file has yet."""
        if any(name in request.headers for name in _UNSUPPORTED):
            raise BadInput(f"expected none of the headers {', '.join(_UNSUPPORTED)}", reason="header")
        length = request.headers.get("content-length", "")
        held = await self._in_thread(self._files.held, file.device)
        if length.isascii() and length.isdigit() and len(length) < _LONGEST_LENGTH:
            self._check_room(file, held, int(length))
        piece = await self._in_thread(self._files.new_piece)
        waiting = bytearray()
        try:
            async for data in request.stream():
                waiting += data
                if len(waiting) >= _PIECE_BYTES:
                    await self._append(piece, file, held, waiting)
            await self._append(piece, file, held, waiting)
            given = request.headers.get("content-md5")
            if given is not None and given != piece.md5:
                raise BadInput("Content-MD5: expected that of the body", reason="md5")
            await self._in_thread(piece.keep)
        except BaseException:
            piece.discard()
            raise
        finally:
            self._coming[file.device] -= piece.size
        return piece

    async def _append(self, piece: Piece, file: DeviceFile, held: int, waiting: bytearray) -> None:
        data = bytes(waiting)
        waiting.clear()
        self._check_device(file)
        self._check_room(file, held, len(data), piece.size)
        self._coming[file.device] += len(data)
        await self._in_thread(piece.append, data)

    def _check_room(self, file: DeviceFile, held: int, more: int, before: int = 0) -> None:
        """Raises FileTooLarge; the store looks again when it knows of all that came meanwhile."""
        bounds = self._files.bounds
        if before + more > bounds.file_bytes:
            raise FileTooLarge(f"expected a file of at most {bounds.file_bytes} bytes")
        if held + self._coming[file.device] + more > bounds.device_bytes:
            raise FileTooLarge(f"expected files of at most {bounds.device_bytes} bytes of a device")

    async def _handed(self, piece: Piece, file: DeviceFile, put: Callable[[], None]) -> None:
        """Give the piece to its file, or discard it. Where the disk fails nobody knows which; strays are swept up."""
        try:
            self._check_device(file)
            await self._in_thread(put)
        except IsletError:
            piece.discard()
            raise

    async def _in_thread(self, act: Callable[..., Result], *values: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._workers, act, *values)

    @contextmanager
    def _counted(self, device: str) -> Iterator[None]:
        if self._requests.total() >= _MOST_AT_ONCE or self._requests[device] >= _MOST_OF_ONE_AT_ONCE:
            raise Crowded("expected fewer blocks at a time; try again in a second")
        self._requests[device] += 1
        try:
            yield
        finally:
            self._requests[device] -= 1
            if not self._requests[device]:
                del self._requests[device], self._coming[device]


def _only_new(request: Request) -> bool:
    return request.headers.get("if-none-match", "").strip() == "*"


def _changed(now_us: int) -> dict[str, str]:
    return {"ETag": f'"0x{secrets.token_hex(8).upper()}"', "Last-Modified": formatdate(now_us / 1e6, usegmt=True)}


def _common(request: Request) -> dict[str, str]:
    """What clients look for in each answer."""
    headers = {
        "x-ms-request-id": secrets.token_hex(16),
        "x-ms-version": request.headers.get("x-ms-version", "2021-08-06"),
        "x-ms-request-server-encrypted": "true",
    }
    if id := request.headers.get("x-ms-client-request-id"):
        headers["x-ms-client-request-id"] = id
    return headers


def _refused(error: Exception, request: Request) -> Response:
    if isinstance(error, BadInput):
        status, code = 400, _BAD_INPUT.get(error.reason, "InvalidInput")
    else:
        found = ((status, code) for kind, status, code in _ERRORS if isinstance(error, kind))
        status, code = next(found, (500, "InternalError"))
    told = "the file could not be kept; try again" if isinstance(error, OSError) else str(error)
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(told)}</Message></Error>'
    return Response(body, status, _common(request) | {"x-ms-error-code": code}, "application/xml")
