"""The files that a request brings, straight into sealed files: nothing of them is ever on a disk as it was sent."""

from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from islet.errors import BadInput, IsletError
from islet.store.sealed_file import SealedFile

MOST_FILES: Final = 50
_LONGEST_NAME: Final = 200
_UNNAMED: Final = "upload"


class TooLarge(IsletError):
    """More was sent than an upload may hold."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            f"expected files of at most {megabytes(most_bytes)} MB in all; send them one by one, or zipped"
        )
        self.most_bytes = most_bytes


class Sent(NamedTuple):
    """A file as it was sent: its name, as far as it has one, and its content, to be closed by who takes it."""

    name: str
    content: BufferedReader


def megabytes(most_bytes: int) -> str:
    """For people.

    >>> megabytes(250_000_000)
    '250'
    """
    return f"{most_bytes / 1e6:g}"


async def files_of(request: Request, folder: Path, most_bytes: int) -> list[Sent]:
    """The files of a form (multipart/form-data), or the body as one file that the query calls `name`.

    Raises TooLarge as soon as it is clear, and BadInput; then nothing is kept.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise TooLarge(most_bytes)
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data":
        taking: _Whole | _Form = _Form(folder, options.get(b"boundary", b""))
    else:
        taking = _Whole(folder, request.query_params.get("name", _UNNAMED))
    try:
        await _take(request, taking, most_bytes)
        return [Sent(name, await run_in_threadpool(content.sealed)) for name, content in taking.files]
    except BaseException as error:
        for _, content in taking.files:
            content.close()
        if isinstance(error, OSError):
            raise IsletError(f"uploads: the files could not be kept ({error.strerror}); is the disk full?") from None
        raise


async def _take(request: Request, taking: "_Whole | _Form", most_bytes: int) -> None:
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > most_bytes:
            raise TooLarge(most_bytes)
        await run_in_threadpool(taking.take, piece)
    await run_in_threadpool(taking.end)


class _Whole:
    """A body that is a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.files = [(name[-_LONGEST_NAME:], SealedFile.nameless(folder))]

    def take(self, piece: bytes) -> None:
        self.files[0][1].append(piece)

    def end(self) -> None:
        if not self.files[0][1].size:
            raise BadInput("expected a file in the body; it is empty", reason="empty")


class _Form:
    """A body with parts; those with a file name are files, others are passed over."""

    def __init__(self, folder: Path, boundary: bytes) -> None:
        self.files: list[tuple[str, SealedFile]] = []
        self._folder = folder
        self._header = self._value = b""
        self._disposition = b""
        self._current: SealedFile | None = None
        self._ended = False
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a TypedDict of these
        except MultipartParseError:
            raise _no_form() from None

    def take(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise _no_form() from None

    def end(self) -> None:
        if not self._ended:
            raise _no_form()
        if not self.files:
            raise BadInput("expected at least one file; none was sent", reason="empty")

    def _begin(self) -> None:
        self._header = self._value = self._disposition = b""
        self._current = None

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"filename", b"").decode("utf-8", errors="replace")
        if not name:  # another field, or an input in which no file was chosen
            return
        if len(self.files) == MOST_FILES:
            raise BadInput(f"expected at most {MOST_FILES} files at a time", reason="many")
        self._current = SealedFile.nameless(self._folder)
        self.files.append((name[-_LONGEST_NAME:], self._current))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _no_form() -> BadInput:
    return BadInput("expected a form with files (multipart/form-data), or a file as the body", reason="form")
