"""Faults that a device asks for, with properties of a message, to see what it makes of them.

Microsoft's tests of its SDKs do so; an installation must allow it (`fault_injection`), and a fault meets nobody but the
connection that has asked. Source: azure-iot-sdk-node, e2etests, and azure-iot-sdk-csharp, FaultInjection.cs (what the
properties are called, and the kinds of faults).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

_KIND: Final = "AzIoTHub_FaultOperationType"
_REASON: Final = "AzIoTHub_FaultOperationCloseReason"
_DELAY: Final = "AzIoTHub_FaultOperationDelayInSecs"
_DURATION: Final = "AzIoTHub_FaultOperationDurationInSecs"
_LONGEST_S: Final = 600.0


class Fault(NamedTuple):
    """What is to happen, in how long, and for how long where it lasts."""

    kind: str
    reason: str
    delay_s: float
    lasts_s: float


def asked_fault(properties: Mapping[str, str]) -> Fault | None:
    """The fault that a message asks for.

    >>> asked_fault({"AzIoTHub_FaultOperationType": "KillTcp", "AzIoTHub_FaultOperationDelayInSecs": "2"})
    Fault(kind='KillTcp', reason='', delay_s=2.0, lasts_s=0.0)
    """
    kind = properties.get(_KIND)
    if kind is None:
        return None
    return Fault(
        kind, properties.get(_REASON, ""), _seconds(properties.get(_DELAY)), _seconds(properties.get(_DURATION))
    )


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return min(seconds, _LONGEST_S) if seconds > 0 else 0.0  # nan is neither
