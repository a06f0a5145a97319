"""What people have sent to be imported and not yet confirmed: looked at, then appended, in a thread of its own.

An upload is of one person and for one patient. It is held by this process alone, sealed on the disk, and gone when it
was imported or cancelled, half an hour after it came, or with the process.
"""

import gc
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from io import SEEK_END, BufferedReader
from pathlib import Path
from time import sleep
from typing import Final

import structlog

from islet.decode.imports.bounds import check_held
from islet.decode.imports.detect import Format
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import DAMAGED, Part, bytes_to_read, damaged, parts
from islet.decode.imports.preview import Preview
from islet.errors import BadInput, IsletError, NotFound
from islet.imports import Appended, Known, Looked, Progress, Write, append, look
from islet.log.base import Log
from islet.model.time import Now
from islet.web.upload_body import Sent

LIFETIME_S: Final = 1800.0
_MOST_OF_ONE: Final = 4  # uploads of one person; the oldest that nothing is done with makes room
_MOST: Final = 64
_MOST_PARTS: Final = 200
NOTHING: Final = Appended(0, 0)

_log = structlog.get_logger("islet.web.uploads")


class State(StrEnum):
    """How far an upload is."""

    CHECKING = "checking"
    CHECKED = "checked"
    IMPORTING = "importing"
    IMPORTED = "imported"
    FAILED = "failed"
    """Not all of it could be imported. What was is in the log; to import it again is harmless."""


@dataclass(kw_only=True)
class UploadedFile:
    """A file, what a person said of it, and what was found in it (of an archive, in each export)."""

    name: str
    content: BufferedReader
    choices: Choices
    format: Format | None = None
    """The one that a person chose; None: found out."""
    looked: list[Looked] = field(default_factory=list)

    @property
    def good(self) -> list[Looked]:
        """The exports in it that can be imported."""
        return [one for one in self.looked if one.error is None]


@dataclass(kw_only=True)
class Upload:
    """Some files of a person for a patient. `done_bytes` of `all_bytes` are read of what is under way."""

    id: str
    owner: str
    patient: str
    files: list[UploadedFile]
    state: State = State.CHECKING
    done_bytes: int = 0
    all_bytes: int = 0
    appended: Appended = NOTHING
    busy: bool = False
    dropped: bool = False
    work: Future[None] = field(default_factory=Future)
    """What is or was under way; it raises nothing."""

    def close(self) -> None:
        """Let the files go."""
        for file in self.files:
            file.content.close()


class Full(IsletError):
    """There are too many uploads at present."""

    def __init__(self) -> None:
        super().__init__("too many uploads are waiting to be confirmed; try again in half an hour")


class Busy(Full):
    """As many uploads of a person are being sent, or wait to be read, as one person may have."""


class _Dropped(Exception):
    """The upload that is being read is not wanted any more."""


class Uploads:
    """All uploads of this process. Every method may be called from any thread.

    One thread looks at files and appends them, one upload after the other: a long one takes no more than one
    processor's time from the platform, and two people who import the same file at once cannot both find it new.
    """

    def __init__(
        self, log: Log, write: Write, now: Now, *, folder: Path, most_bytes: int, lifetime_s: float = LIFETIME_S
    ) -> None:
        """`folder` is where sealed files are; `most_bytes` is what one upload may hold."""
        self.folder, self.most_bytes = folder, most_bytes
        self._source, self._write, self._now, self._lifetime_s = log, write, now, lifetime_s
        self._uploads: dict[str, Upload] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._coming = Counter[str]()  # by who sends them
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "uploads")

    @contextmanager
    def coming(self, owner: str) -> Iterator[None]:
        """While somebody sends an upload. Raises Busy where they send as many as one person may have."""
        with self._lock:
            if self._coming[owner] >= _MOST_OF_ONE:
                raise Busy
            self._coming[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._coming[owner] -= 1
                if not self._coming[owner]:
                    del self._coming[owner]

    def add(self, owner: str, patient: str, sent: Sequence[Sent], choices: Choices, format: Format | None) -> Upload:
        """Take files in, and begin to look at them. Raises Full and Busy; then they are closed."""
        files = [UploadedFile(name=one.name, content=one.content, choices=choices, format=format) for one in sent]
        upload = Upload(id=secrets.token_urlsafe(16), owner=owner, patient=patient, files=files)
        with self._lock:
            theirs = [one for one in self._uploads.values() if one.owner == owner]
            idle = next((one for one in theirs if not one.busy), None)
            if len(theirs) >= _MOST_OF_ONE and idle is not None:
                self._forget(idle)
            elif len(theirs) >= _MOST_OF_ONE or len(self._uploads) >= _MOST:
                upload.close()
                raise Busy if len(theirs) >= _MOST_OF_ONE else Full
            self._uploads[upload.id] = upload
            self._keep(upload)
        self._begin(upload, State.CHECKING, lambda: self._check(upload))
        return upload

    def get(self, id: str, owner: str, patient: str) -> Upload:
        """One's own upload for a patient. Raises NotFound."""
        with self._lock:
            upload = self._uploads.get(id)
        if upload is None or (upload.owner, upload.patient) != (owner, patient):
            raise NotFound("there is no such upload, or not any more: it is kept for half an hour")
        return upload

    def choose(self, upload: Upload, place: int, choices: Choices, format: Format | None) -> None:
        """Look again, now that one of its files is to be read in another way. Raises NotFound and BadInput."""
        if not 0 <= place < len(upload.files):
            raise NotFound("there is no such file in the upload")
        if upload.state is not State.CHECKED:
            raise BadInput("expected an upload that was looked at and not yet imported", reason="state")
        upload.files[place].choices, upload.files[place].format = choices, format
        self._begin(upload, State.CHECKING, lambda: self._check(upload))

    def confirm(self, upload: Upload, done: Callable[[Appended], None]) -> None:
        """Append what can be; `done` is told what came of it, in another thread, also where it ends before all of it is in
        the log. An upload that is imported already, or
        is being, is left as it is. Raises BadInput where there is nothing that can be."""
        if upload.state in (State.IMPORTING, State.IMPORTED):
            return
        if upload.state is not State.CHECKED or not any(file.good for file in upload.files):
            raise BadInput("expected an upload that was looked at and can be imported", reason="state")
        self._begin(upload, State.IMPORTING, lambda: self._import(upload, done))

    def drop(self, upload: Upload) -> None:
        """Forget it; what is under way ends at the next step."""
        with self._lock:
            self._forget(upload)

    def close(self) -> None:
        """Forget all, and wait for the thread."""
        with self._lock:
            for upload in list(self._uploads.values()):
                self._forget(upload)
        self._worker.shutdown(cancel_futures=True)

    def _keep(self, upload: Upload) -> None:
        """For its time, while the lock is held."""
        timer = threading.Timer(self._lifetime_s, self._expire, (upload,))
        timer.daemon = True
        self._timers[upload.id] = timer
        timer.start()

    def _expire(self, upload: Upload) -> None:
        """Its time is over; what is being read or imported meanwhile is kept once more."""
        with self._lock:
            if upload.busy and not upload.dropped:
                self._keep(upload)
            else:
                self._forget(upload)

    def _forget(self, upload: Upload) -> None:
        """While the lock is held."""
        upload.dropped = True
        self._uploads.pop(upload.id, None)
        timer = self._timers.pop(upload.id, None)
        if timer is not None:
            timer.cancel()
        if not upload.busy:
            upload.close()

    def _begin(self, upload: Upload, state: State, work: Callable[[], None]) -> None:
        with self._lock:
            if upload.busy:
                raise BadInput("this upload is being read; wait until it was", reason="state")
            upload.busy, upload.state, upload.done_bytes = True, state, 0
            upload.work = self._worker.submit(self._run, upload, work)

    def _run(self, upload: Upload, work: Callable[[], None]) -> None:
        """Whatever happens, nothing is under way afterwards, and the files are closed where nobody needs them any more."""
        state = State.FAILED
        try:
            if not upload.dropped:
                upload.all_bytes = sum(_length(file.content) for file in upload.files)
                with _uncollected():
                    work()
                state = State.CHECKED if upload.state is State.CHECKING else State.IMPORTED
        except _Dropped:
            pass
        except Exception as error:  # a fault of ours, or the log's; the person sees that it failed
            _log.exception("upload_failed", error=type(error).__name__)
        finally:
            with self._lock:
                upload.state, upload.busy = state, False
                if upload.dropped or state is not State.CHECKED:
                    upload.close()

    def _check(self, upload: Upload) -> None:
        now_us = max(self._now(), self._source.newest_received_us())
        for file in upload.files:
            file.looked = []
            try:
                for number, part in enumerate(parts(file.content, file.name)):
                    if number == _MOST_PARTS:
                        raise BadInput(f"expected an archive of at most {_MOST_PARTS} files", reason="archive")
                    with _counted(upload, part) as progress:
                        file.looked.append(_look(part, file, now_us, progress))
            except BadInput as error:
                file.looked = [Looked(file.name, None, Preview(), error)]
            except DAMAGED:
                file.looked = [Looked(file.name, None, Preview(), damaged())]

    def _import(self, upload: Upload, done: Callable[[Appended], None]) -> None:
        """However far it comes, `done` is told: what is in the log stays there."""
        now_us = max(self._now(), self._source.newest_received_us())
        known = Known(self._source, upload.patient)
        try:
            for file in upload.files:
                if file.good:
                    self._append(upload, file, known, now_us)
        finally:
            done(upload.appended)

    def _append(self, upload: Upload, file: UploadedFile, known: Known, now_us: int) -> None:
        for part, looked in zip(parts(file.content, file.name), file.looked, strict=True):
            if looked.error is not None or looked.format is None:
                continue
            with _counted(upload, part) as progress:
                chunks = append(
                    part,
                    file.choices,
                    looked.format,
                    known=known,
                    write=self._write,
                    now_us=now_us,
                    progress=progress,
                )
                for one in chunks:
                    upload.appended = Appended(upload.appended.new + one.new, upload.appended.known + one.known)


def _look(part: Part, file: UploadedFile, now_us: int, progress: Progress) -> Looked:
    try:
        check_held(part)
    except BadInput as error:
        return Looked(part.name, None, Preview(), error)
    return look(part, file.choices, file.format, latest_us=now_us, progress=progress)


@contextmanager
def _counted(upload: Upload, part: Part) -> Iterator[Progress]:
    """Adds what is read of a part to what is done of the upload; ends the reading of one that was dropped."""
    before = upload.done_bytes

    def progress(reached: int) -> None:
        if upload.dropped:
            raise _Dropped
        upload.done_bytes = before + min(reached, part.bytes)
        sleep(0)  # whoever waits for the interpreter goes first: alarms among them

    progress(0)
    yield progress
    upload.done_bytes = before + part.bytes


@contextmanager
def _uncollected() -> Iterator[None]:
    """Cyclic garbage waits meanwhile. Of the cells of a table nothing is cyclic, but to look at all of them for that
    stops every thread: 0.3 s at 100,000 rows, and alarms with it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _length(content: BufferedReader) -> int:
    """What there is to read of a file; an archive that is broken counts with its own length."""
    try:
        return bytes_to_read(content)
    except (BadInput, *DAMAGED):
        return content.seek(0, SEEK_END)
