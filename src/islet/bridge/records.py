"""Asks a meter or sensor for the records that it has stored (Record Access Control Point)."""

import asyncio
from typing import Final

from islet.bridge.link import Link, LinkLost
from islet.decode.ble_control import (
    RECORDS,
    Operator,
    Outcome,
    RecordCount,
    RecordOp,
    RecordRequest,
    decode_answer,
    encode_request,
)
from islet.errors import ProtocolError

QUIET_S: Final = 30.0
"""How long nothing may come while records are reported; the Glucose Profile's time-out for a procedure."""

NOT_SUPPORTED: Final = frozenset(
    {Outcome.OP_NOT_SUPPORTED, Outcome.OPERATOR_NOT_SUPPORTED, Outcome.OPERAND_NOT_SUPPORTED, Outcome.INVALID_OPERAND}
)


class Records:
    """One procedure at a time. Subscribe to the records themselves before, and call `heard` for each."""

    def __init__(self, link: Link, quiet_s: float = QUIET_S) -> None:
        self._link, self._quiet_s = link, quiet_s
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._heard = asyncio.Event()

    async def begin(self) -> None:
        """Have answers sent. Raises LinkLost."""
        await self._link.subscribe(RECORDS, self._answers.put_nowait)

    def heard(self) -> None:
        """A record came: the procedure goes on."""
        self._heard.set()

    async def report(self, operator: Operator, *bounds: int) -> Outcome:
        """Have records sent; how that ended. What came of them before the answer is all of them.

        Raises LinkLost when the sensor goes or falls silent, ProtocolError for an answer that is none.
        """
        while not self._answers.empty():  # of a procedure that was given up
            self._answers.get_nowait()
        await self._link.write(
            RECORDS, encode_request(RecordRequest(op=RecordOp.REPORT, operator=operator, bounds=bounds))
        )
        answer = decode_answer(await self._answer())
        if isinstance(answer, RecordCount) or answer.op != RecordOp.REPORT or answer.outcome is None:
            raise ProtocolError("record answer: expected the outcome of a report")
        return answer.outcome

    async def _answer(self) -> bytes:
        answer = asyncio.create_task(self._answers.get())
        lost = asyncio.create_task(self._link.lost())
        try:
            while True:
                heard = asyncio.create_task(self._heard.wait())
                done, _ = await asyncio.wait(
                    (answer, lost, heard), timeout=self._quiet_s, return_when=asyncio.FIRST_COMPLETED
                )
                heard.cancel()
                self._heard.clear()
                if answer in done:
                    return answer.result()
                if lost in done:
                    raise LinkLost("the sensor has gone while it sent its records")
                if not done:
                    raise LinkLost(f"the sensor was asked for its records, and was silent for {self._quiet_s:g} s")
        finally:
            answer.cancel()
            lost.cancel()
