"""What a log's alerts say: the changes as they stand there, and the table that they fold into."""

from islet.log.base import Log
from islet.model.alerts import Alert, fold
from islet.model.codec import decode_change
from islet.model.topics import Topic

Told = dict[str, tuple[str, str, int | None, str, int | None]]


def changes(log: Log) -> list[str]:
    """The bodies of all changes, partition by partition in the log's order."""
    found: list[str] = []
    for partition, offset in enumerate(log.begin(Topic.ALERTS)):
        while (one := log.read(Topic.ALERTS, partition, offset)) is not None:
            found += [str(body) for body in one.batch.column("body").to_pylist()]
            offset = one.next_offset
    return found


def table(log: Log) -> Told:
    """Every alert that was not retracted, by its id: rule, severity, when it was cleared, device, tenths of mg/dL."""
    alerts: dict[str, Alert] = {}
    for body in changes(log):
        change = decode_change(body)
        alert = fold(alerts.get(change.id), change, 0)
        assert alert is not None, "a change of an alert that nobody has opened"
        alerts[change.id] = alert
    return {
        alert.id: (alert.rule, alert.severity, alert.cleared_us, alert.device, alert.glucose_tenths)
        for alert in alerts.values()
        if not alert.retracted
    }
