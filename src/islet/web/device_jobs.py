"""The page of devices: how far jobs over many are, and what failed at which; commands that did not get there, which can be
sent again; and claim codes for new devices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.errors import AlreadyExists, BadInput, NotFound
from islet.model.translated import mark as _
from islet.store.devices_base import JobState, JobStatus, JobStep, MailboxFull, Step
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.context import WebContext, WebDevices
from islet.web.dead_commands import dead_rows, send_again
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer

SHOWN_JOBS: Final = 50
SHOWN_STEPS: Final = 100
_PATH: Final = "/device-jobs"
_LONGEST_FIELD: Final = 200


KINDS: Final = {
    "scheduleDeviceMethod": _("Method"),
    "scheduleUpdateTwin": _("Configuration"),
    "scheduleCommand": _("Command"),
}
STATUSES: Final = {
    "scheduled": _("waits for its time"),
    "running": _("under way"),
    "completed": _("ended"),
    "failed": _("could not begin"),
    "cancelled": _("cancelled"),
}
STEPS: Final = {
    "pending": _("waits"),
    "running": _("asked"),
    "failed": _("failed"),
    "canceled": _("cancelled"),
}
_REFUSED: Final = {
    AlreadyExists: _("A device of that id is registered already."),
    NotFound: _("There is no such patient, job, device or command."),
    MailboxFull: _("As many commands as a device may have wait for this one already."),
    BadInput: _("This is not a device id."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A job as it is shown; `open`: it can be cancelled."""

    id: str
    kind: str
    status: str
    begun: str
    ended: str
    devices: int
    done: int
    failed: int
    reason: str
    open: bool
    steps: tuple[tuple[str, str, int, str], ...]


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no devices."""
    if context.devices is None:
        return []
    return [
        page(context, _PATH, show),
        form(context, _PATH, _change, longest=_LONGEST_FIELD, shown_at=_PATH),
        form(context, f"{_PATH}/commands", _send_again, shown_at=_PATH),
    ]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """All jobs of the last month, newest first."""
    return _shown(context, request, viewer, {"code": "", "refused": "", "device": ""})


def _shown(context: WebContext, request: Request, viewer: Viewer, said: dict[str, str]) -> Response:
    viewer.require(Action.VIEW_OPERATIONS)
    devices = _devices(context)
    text = words(language_of(request, viewer.user)).text
    states = devices.jobs.jobs(limit=SHOWN_JOBS)
    values = {
        "jobs": [_row(devices, state) for state in states],
        "kinds": {name: text(title) for name, title in KINDS.items()},
        "statuses": {name: text(title) for name, title in STATUSES.items()},
        "steps": {name: text(title) for name, title in STEPS.items()},
        "may_claim": viewer.may(Action.WRITE_REGISTRY),
        "may_send": viewer.may(Action.COMMAND_DEVICES),
        "dead": dead_rows(devices, text),
        "patients": [one.id for one in context.registry.patients()],
        **said,
    }
    answer = render(context, request, viewer, "device_jobs.html", values, data={})
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _row(devices: WebDevices, state: JobState) -> Row:
    left = devices.jobs.job_steps(
        state.job.id, (Step.FAILED, Step.CANCELED, Step.PENDING, Step.RUNNING), limit=SHOWN_STEPS
    )
    return Row(
        id=state.job.id,
        kind=state.job.kind.value,
        status=state.status.value,
        begun=minute(state.job.start_us),
        ended=minute(state.ended_us),
        devices=state.devices,
        done=state.steps.get(Step.COMPLETED, 0),
        failed=state.steps.get(Step.FAILED, 0) + state.steps.get(Step.CANCELED, 0),
        reason=state.reason,
        open=state.status in (JobStatus.SCHEDULED, JobStatus.RUNNING),
        steps=tuple(_step(step) for step in left),
    )


def _step(step: JobStep) -> tuple[str, str, int, str]:
    return step.address.device, step.step.value, step.tries, step.reason


def _change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    fields = {name: text.strip() for name, text in fields.items()}
    devices, act = _devices(context), fields.get("act", "")
    viewer.require(Action.WRITE_REGISTRY)
    text = words(language_of(request, viewer.user)).text
    said = {"code": "", "refused": "", "device": fields.get("device", "")}
    try:
        if act == "cancel":
            job = fields.get("job", "")
            devices.jobs.end_job(job, JobStatus.CANCELLED, devices.wall_now())
            context.registry.note("cancelled", "device job", job, by=viewer.name, at_us=context.now())
            return RedirectResponse(_PATH, 303)
        if act != "claim":
            raise BadInput("device jobs: expected cancel or claim", reason="form")
        said["code"] = devices.claim(said["device"], fields.get("patient", ""), viewer.name)
    except (AlreadyExists, NotFound, BadInput) as error:
        said["refused"] = text(_REFUSED[type(error)])
    return _shown(context, request, viewer, said)


def _send_again(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    viewer.require(Action.COMMAND_DEVICES)
    try:
        send_again(context, _devices(context), viewer, fields.get("number", ""))
    except (NotFound, MailboxFull) as error:
        refused = words(language_of(request, viewer.user)).text(_REFUSED[type(error)])
        return _shown(context, request, viewer, {"code": "", "refused": refused, "device": ""})
    return RedirectResponse(_PATH, 303)


def _devices(context: WebContext) -> WebDevices:
    assert context.devices is not None  # or the page has no route
    return context.devices
