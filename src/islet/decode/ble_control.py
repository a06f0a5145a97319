"""Bluetooth's control points: records (0x2A52), by which a meter or sensor is asked for what it has stored, and the
sensor's own operations (0x2AAC).

Layout: GATT Specification Supplement, "Record Access Control Point"; CGM Service 1.0.2, 3.9.
"""

from decimal import Decimal
from enum import IntEnum
from typing import Final

from msgspec import Struct

from islet.decode.ble_numbers import CRC_OCTETS, Octets, crc, without_crc
from islet.errors import ProtocolError

RECORDS: Final = 0x2A52


class RecordOp(IntEnum):
    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNTED = 5
    RESPONSE = 6


class Operator(IntEnum):
    NONE = 0
    ALL = 1
    UP_TO = 2
    FROM = 3
    WITHIN = 4
    FIRST = 5
    LAST = 6


class Outcome(IntEnum):
    """What a control point answers."""

    SUCCESS = 1
    OP_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_FAILED = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9


_BY_NUMBER: Final = 1  # the filter: sequence number of a meter, minutes of a sensor
OPERANDS: Final = {Operator.UP_TO: 1, Operator.FROM: 1, Operator.WITHIN: 2}


class RecordRequest(Struct, frozen=True, kw_only=True):
    """`bounds` are sequence numbers (meter) or minutes since the session began (sensor): one or two, as the operator
    needs."""

    op: RecordOp
    operator: Operator = Operator.NONE
    bounds: tuple[int, ...] = ()


class RecordResponse(Struct, frozen=True, kw_only=True):
    """`outcome` is None for one that the specification does not name."""

    op: RecordOp
    outcome: Outcome | None


class RecordCount(Struct, frozen=True):
    """How many records there are."""

    count: int


def encode_request(request: RecordRequest) -> bytes:
    """What is written to 0x2A52.

    >>> encode_request(RecordRequest(op=RecordOp.REPORT, operator=Operator.FROM, bounds=(258,))).hex()
    '0103010201'
    """
    head = bytes([request.op, request.operator])
    if not request.bounds:
        return head
    return head + bytes([_BY_NUMBER]) + b"".join(bound.to_bytes(2, "little") for bound in request.bounds)


def decode_request(octets: bytes) -> RecordRequest:
    """The other side of it, for whom plays a sensor. Raises ProtocolError."""
    fields = Octets(octets, "record request")
    op, operator = fields.unsigned(1), fields.unsigned(1)
    if op not in (RecordOp.REPORT, RecordOp.DELETE, RecordOp.ABORT, RecordOp.COUNT) or operator not in set(Operator):
        raise ProtocolError("record request: expected an operation and an operator that are known")
    count = OPERANDS.get(Operator(operator), 0)
    if count and fields.unsigned(1) != _BY_NUMBER:
        raise ProtocolError("record request: expected numbers or minutes to choose by")
    bounds = tuple(fields.unsigned(2) for _ in range(count))
    fields.end()
    return RecordRequest(op=RecordOp(op), operator=Operator(operator), bounds=bounds)


def decode_answer(octets: bytes) -> RecordResponse | RecordCount:
    """What comes as an indication of 0x2A52. Raises ProtocolError.

    >>> decode_answer(bytes.fromhex("06000106"))
    RecordResponse(op=<RecordOp.REPORT: 1>, outcome=<Outcome.NO_RECORDS: 6>)
    """
    fields = Octets(octets, "record answer")
    op, operator = fields.unsigned(1), fields.unsigned(1)
    if operator != Operator.NONE or op not in (RecordOp.COUNTED, RecordOp.RESPONSE):
        raise ProtocolError("record answer: expected a count or a response")
    if op == RecordOp.COUNTED:
        answer: RecordResponse | RecordCount = RecordCount(fields.unsigned(2))
    else:
        asked, outcome = fields.unsigned(1), fields.unsigned(1)
        if asked not in set(RecordOp):
            raise ProtocolError("record answer: expected the operation that was asked for")
        answer = RecordResponse(op=RecordOp(asked), outcome=Outcome(outcome) if outcome in set(Outcome) else None)
    fields.end()
    return answer


class Op(IntEnum):
    """The sensor's operations; setting, getting and what is answered to getting follow each other in threes."""

    SET_INTERVAL = 0x01
    GET_INTERVAL = 0x02
    INTERVAL = 0x03
    SET_CALIBRATION = 0x04
    GET_CALIBRATION = 0x05
    CALIBRATION = 0x06
    SET_PATIENT_HIGH = 0x07
    GET_PATIENT_HIGH = 0x08
    PATIENT_HIGH = 0x09
    SET_PATIENT_LOW = 0x0A
    GET_PATIENT_LOW = 0x0B
    PATIENT_LOW = 0x0C
    SET_HYPO = 0x0D
    GET_HYPO = 0x0E
    HYPO = 0x0F
    SET_HYPER = 0x10
    GET_HYPER = 0x11
    HYPER = 0x12
    SET_FALL = 0x13
    GET_FALL = 0x14
    FALL = 0x15
    SET_RISE = 0x16
    GET_RISE = 0x17
    RISE = 0x18
    RESET_DEVICE_ALERT = 0x19
    START_SESSION = 0x1A
    STOP_SESSION = 0x1B
    RESPONSE = 0x1C


class Calibration(Struct, frozen=True, kw_only=True):
    """A calibration value that the sensor was given. Times are minutes since the session began."""

    glucose_mg_dl: Decimal
    at_min: int
    sample: int
    site: int
    next_at_min: int
    record: int
    status: int


class OpAnswer(Struct, frozen=True, kw_only=True):
    """`op` is what is told, or (with an `outcome`) what was asked for. One of the others is not None; `outcome` is
    the specification's number, of which 1 is success."""

    op: Op
    outcome: int | None = None
    interval_min: int | None = None
    limit: Decimal | None = None
    calibration: Calibration | None = None


def encode_op(op: Op, operand: bytes = b"", *, has_crc: bool) -> bytes:
    """What is written to 0x2AAC."""
    body = bytes([op]) + operand
    return body + crc(body).to_bytes(CRC_OCTETS, "little") if has_crc else body


def decode_op_answer(octets: bytes, *, has_crc: bool) -> OpAnswer:
    """What comes as an indication of 0x2AAC. Limits are in mg/dL, of falls and rises in mg/dL/min. Raises ProtocolError.

    >>> decode_op_answer(bytes.fromhex("1c1a01"), has_crc=False).outcome
    1
    """
    fields = Octets(without_crc(octets, "CGM operation") if has_crc else octets, "CGM operation")
    op = fields.unsigned(1)
    if op == Op.RESPONSE:
        asked, outcome = fields.unsigned(1), fields.unsigned(1)
        if asked not in set(Op):
            raise ProtocolError("CGM operation: expected the operation that was asked for")
        answer = OpAnswer(op=Op(asked), outcome=outcome)
    elif op == Op.INTERVAL:
        answer = OpAnswer(op=Op.INTERVAL, interval_min=fields.unsigned(1))
    elif op == Op.CALIBRATION:
        answer = OpAnswer(op=Op.CALIBRATION, calibration=_calibration(fields))
    elif op in (Op.PATIENT_HIGH, Op.PATIENT_LOW, Op.HYPO, Op.HYPER, Op.FALL, Op.RISE):
        answer = OpAnswer(op=Op(op), limit=fields.number())
    else:
        raise ProtocolError("CGM operation: expected an answer that is known")
    fields.end()
    return answer


def _calibration(fields: Octets) -> Calibration:
    glucose, at_min, both = fields.number(), fields.unsigned(2), fields.unsigned(1)
    return Calibration(
        glucose_mg_dl=glucose,
        at_min=at_min,
        sample=both & 0x0F,
        site=both >> 4,
        next_at_min=fields.unsigned(2),
        record=fields.unsigned(2),
        status=fields.unsigned(1),
    )
