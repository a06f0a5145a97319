"""What the platform's log says of an error: where it was raised and what it is, and nothing of what it was raised about."""

import json
import subprocess
import sys

from islet.errors import BadInput
from islet.operations.logs import exception_text

FAILING = """
import logging, structlog
from islet.operations.logs import configure
configure("info", "json")
try:
    try:
        float("6.2 of Ada")
    except ValueError as error:
        raise KeyError("Ada") from error
except KeyError:
    structlog.get_logger("islet.web").exception("upload_failed")
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
"""


def test_an_error_is_told_by_its_kind_and_place_and_quotes_no_value() -> None:
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["upload_failed", "Exception in ASGI application"]
    for line in lines:
        assert "Ada" not in json.dumps(line)
        assert line["exception"].index("ValueError\nwhich led to\n") < line["exception"].index("KeyError")
        assert 'File "<string>", line 7' in line["exception"]


def test_what_is_ours_or_a_disks_is_told_in_its_words() -> None:
    for error in (BadInput("expected a number; got something else", reason="value"), OSError(28, "No space left")):
        assert str(error) in exception_text((type(error), error, None))


def test_an_error_that_says_it_comes_from_itself_is_told_once() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert exception_text((ValueError, error, None)) == "ValueError"
