"""What came over HTTP, into the log."""

import asyncio
from collections.abc import Sequence

from islet.decode.telemetry import Arrival
from islet.gateways.http_answers import NotCommitted
from islet.gateways.intake import Intake, properties_bytes


async def committed(intake: Intake, arrivals: Sequence[Arrival]) -> None:
    """Wait until all are durable. Raises NotCommitted when they are not."""
    if arrivals:
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        intake.offer_all(arrivals, _finish, finished, properties_bytes(arrivals))
        await finished


def _finish(finished: "asyncio.Future[None]", error: Exception | None) -> None:
    if finished.done():  # the caller has gone
        return
    if error is not None:
        finished.set_exception(NotCommitted("the log could not commit; send it again"))
    else:
        finished.set_result(None)
