"""Every text that the pages' scripts show, and the titles of rules, kinds and roles. Scripts hold none of their own."""

from collections.abc import Callable
from typing import Final

from islet.model.people import Role
from islet.model.translated import mark as _

RULES: Final = {
    "urgent_low": _("Urgent low"),
    "low": _("Low glucose"),
    "high": _("High glucose"),
    "no_data": _("No data"),
    "pattern_change": _("Days have changed"),
    "seed_demonstration": _("Demonstration rule"),
}
SEVERITIES: Final = {
    "urgent": _("Urgent"),
    "warning": _("Warning"),
    "notice": _("Notice"),
    "technical": _("Technical"),
}
ROLES: Final = {
    Role.ADMINISTRATOR: _("Administrator"),
    Role.CLINICIAN: _("Clinician"),
    Role.CARE_PARTNER: _("Care partner"),
    Role.PATIENT: _("Patient"),
    Role.RESEARCHER: _("Researcher"),
    Role.AUDITOR: _("Auditor"),
    Role.APPLICATION: _("Application"),
}
REASONS: Final = {
    "this patient is not assigned to the one who asks": _("This patient is not assigned to you."),
    "the role does not include this": _("Your role does not include this."),
    "the key that was shown does not include this": _("The key that was shown does not include this."),
    "the hub policy does not grant this": _("The hub policy does not grant this."),
    "an administrator has granted this": _("An administrator has granted this."),
    "an administrator has refused this": _("An administrator has refused this."),
    "the patient does not consent": _("The patient does not consent."),
    "the patient has not consented yet": _("The patient has not consented yet."),
    "the patient has an account, and consents there: on the page Who follows me": _(
        "The patient has an account, and consents there: on the page Who follows me."
    ),
    "nobody else could administer then: make another administrator first": _(
        "Nobody else could administer then: make another administrator first."
    ),
    "nobody gives consent for a patient": _("Nobody gives consent for a patient."),
    "only a key makes tokens": _("Only a key makes tokens."),
    "this log-in was not begun here": _("This log-in was not begun here, or too long ago. Begin again."),
    "the answer comes from another provider": _("The answer comes from another provider."),
    "the provider has refused the log-in": _("The provider has refused the log-in."),
    "the provider did not take the code": _("The provider did not take the code. Begin again."),
    "the provider's token is not good": _("What the provider says cannot be trusted. Tell the administrator."),
    "the provider's token is for another application": _("What the provider says is for another application."),
    "the account at the provider is linked to nobody here": _(
        "This account is linked to nobody here. Log in with your password and link it under Second factor."
    ),
    "the account at the provider is linked to somebody else": _("This account is linked to somebody else."),
    "only the person themselves may do this": _("Only the person themselves may do this."),
    "nobody acts for an administrator": _("Nobody acts for an administrator."),
    "the one who acts for this user may not act for another": _("Who acts for somebody may not act for another."),
    "administrators may do this": _("Administrators may do this."),
    "clinicians may do this for the patients assigned to them": _(
        "Clinicians may do this for the patients assigned to them."
    ),
    "care partners may do this for whom they follow, with the patient's consent": _(
        "Care partners may do this for whom they follow, with the patient's consent."
    ),
    "patients may do this for themselves": _("Patients may do this for themselves."),
    "researchers see masked data of the patients assigned to them": _(
        "Researchers see masked data of the patients assigned to them."
    ),
    "auditors may read the audit trail": _("Auditors may read the audit trail."),
    "applications may read the patients assigned to them": _("Applications may read the patients assigned to them."),
    "devices send for the patient who wears them": _("Devices send for the patient who wears them."),
    "the hub policy grants this": _("The hub policy grants this."),
}
CHANNELS: Final = {
    "telegram": "Telegram",
    "webpush": _("Browser"),
    "email": _("E-mail"),
    "ntfy": "ntfy",
    "webhook": "Webhook",
    "apprise": "Apprise",
    "console": _("Console"),
}
ANSWERS: Final = {
    "acknowledged": _("Acknowledged. The alert stays active until it ends."),
    "confirmed": _("Thank you: the test has arrived."),
    "refused": _("This could not be acknowledged: you may not, or not any more."),
    "unknown": _("This is not known any more. Open the portal."),
}
"""What is said to somebody who has pressed the button of a message."""
SCRIPTS: Final = {
    "comma": _(", "),
    # zones
    "zone.very_low": _("Very low"),
    "zone.low": _("Low"),
    "zone.target": _("In range"),
    "zone.high": _("High"),
    "zone.very_high": _("Very high"),
    "clamp.below": _("LOW"),
    "clamp.above": _("HIGH"),
    "clamp.below_title": _("Below what the sensor can show"),
    "clamp.above_title": _("Above what the sensor can show"),
    # trend
    "trend.double_up": _("Rising very fast"),
    "trend.up": _("Rising fast"),
    "trend.slight_up": _("Rising"),
    "trend.flat": _("Steady"),
    "trend.slight_down": _("Falling"),
    "trend.down": _("Falling fast"),
    "trend.double_down": _("Falling very fast"),
    "trend.unknown": _("Trend unknown"),
    # age
    "age.fresh": _("Up to date"),
    "age.late": _("Late"),
    "age.stale": _("Out of date"),
    "age.none": _("No reading yet"),
    "age.now": _("just now"),
    "age.minutes": _("{n} min ago"),
    "age.hours": _("{n} h ago"),
    "age.days": _("{n} d ago"),
    "span.minutes": _("{n} min"),
    "span.hours": _("{h} h {m} min"),
    "span.days": _("{n} d"),
    # alerts
    "alert.active": _("Active"),
    "alert.ended": _("Ended"),
    "alert.since": _("since {time} ({span})"),
    "alert.lasted": _("{time}, lasted {span}"),
    "alert.acknowledge": _("Acknowledge"),
    "alert.acknowledge_all": _("Acknowledge all {n}"),
    "alert.earlier": _("and {n} earlier, since {time}"),
    "alert.acknowledge_title": _("{said}: {rule}, {patient}"),
    "alert.acknowledged": _("Seen by {name}, {time}"),
    "alert.not_acknowledged": _("Not acknowledged"),
    "alert.history": _("Found later, in history"),
    "alert.failed": _("This could not be saved. Try again."),
    "alert.new": _("{severity}: {rule}, {patient}"),
    "alert.more": _("And {n} more."),
    "alert.again": _("Acknowledge again"),
    "alert.none_active": _("No active alerts."),
    "alert.none_recent": _("No alerts in this period."),
    # who was told
    "told.title": _("Who was told"),
    "told.nobody": _(
        "Nobody: a more urgent alert has taken its place, the policy tells nobody of such alerts, or it is history."
    ),
    "told.no_one": _("nobody"),
    "told.line": _("{who}: {kind}, {state} ({time})"),
    "told.snooze": _("Pause messages for"),
    "told.snoozed": _("Messages are paused until {time}."),
    "kind.opened": _("alert"),
    "kind.repeated": _("repeat"),
    "kind.cleared": _("end"),
    "kind.retracted": _("withdrawal"),
    "kind.acknowledged": _("acknowledgement"),
    "kind.superseded": _("more urgent alert"),
    "state.pending": _("waiting"),
    "state.sent": _("delivered"),
    "state.not_sent": _("not sent"),
    "state.undeliverable": _("undeliverable"),
    "trouble.unanswered": _("Nobody answered"),
    "trouble.undeliverable": _("A message did not arrive"),
    # this browser
    "push.denied": _("The browser does not allow notifications of this page; change that in its settings."),
    "push.failed": _("This browser could not be subscribed. Try again."),
    "push.unable": _("This browser cannot be notified."),
    # importing
    "import.too_large": _(
        "These files are too large: an upload may hold {megabytes} MB. Send them one by one, or as a zip archive."
    ),
    "import.failed": _("The files could not be sent. Try again."),
    # events
    "event.meal": _("Meal"),
    "event.insulin": _("Insulin"),
    "event.exercise": _("Exercise"),
    "event.medication": _("Medication"),
    "event.note": _("Note"),
    "lane.alerts": _("Alerts"),
    "lane.meals": _("Meals"),
    "lane.insulin": _("Insulin"),
    "lane.exercise": _("Exercise"),
    "lane.iob": _("IOB"),
    "lane.cob": _("COB"),
    # chart
    "chart.summary": _(
        "Glucose of the last {hours} hours: {n} readings from {low} to {high} {unit}, in range {share} %, "
        "last {last} {unit} at {time}; gaps: {gaps}."
    ),
    "chart.empty": _("No readings in the last {hours} hours."),
    "chart.newest": _("The newest is of {time}."),
    "chart.zone": _("Time zone: {zone}"),
    "chart.readout": _("{time}: {value} {unit}, {zone}"),
    "chart.missing": _("The chart could not be loaded; the table below holds the same values."),
    # forecast
    "forecast.path": _(
        "Forecast: in 30 minutes {half} {unit} ({half_low} to {half_high}), in 60 minutes {hour} {unit} ({hour_low} to "
        "{hour_high}). It stays between the bounds nine times in ten."
    ),
    "forecast.middle": _(
        "Forecast: in 30 minutes {half} {unit}, in 60 minutes {hour} {unit}. How far off that may be is not known."
    ),
    "forecast.risk_below": _("Chance of going below {line} {unit} within an hour: {percent} %."),
    "forecast.risk_above": _("Chance of going above {line} {unit} within an hour: {percent} %."),
    "forecast.not_for_dosing": _("Dosing decisions are not to be made from a forecast."),
    "forecast.personal": _("It is fitted to this person, by what forecasts missed in the last two weeks."),
    "forecast.simple": _("A simple calculation forecasts at present: the model has done worse than no forecast."),
    "forecast.no_reading": _("No forecast: there is no reading yet."),
    "forecast.too_old": _("No forecast: the last reading is more than 10 minutes old."),
    "forecast.too_little_history": _("No forecast: half an hour of readings within the last hour is needed."),
    "forecast.out_of_range": _("No forecast: the sensor shows LOW or HIGH, or a value that cannot be."),
    "forecast.unknown": _("The forecast could not be loaded."),
    # on board
    "board.insulin": _(
        "Insulin on board now (IOB): {u} U (model estimate of mealtime insulin: exponential, rapid analogues {hours} h with "
        "a peak at {peak} min). All insulin together acts at {activity} U/h."
    ),
    "board.longer": _("Longer-acting insulin still to act: {u} U (curves of classes)."),
    "board.carbs": _("Carbs on board now (COB): {g} g (model estimate: a meal's carbs within {hours} h)."),
    "board.unknown": _("Entries that do not count, of unknown insulin or without carbs: {n}."),
    "board.never_a_dose": _("Only what was written down counts. Not a dose, and not for deciding on one."),
    # laboratory
    "lab.gap": _("GMI of the {days} days before: {gmi} %, gap {gap}"),
    "lab.few": _("No GMI beside it: needs 14 days with 70 % of their readings."),
    # list and connection
    "list.shown": _("{n} of {total} patients are shown, the most urgent first."),
    "list.summary": _("Patients: {n}; with an active alert: {alerts}"),
    "live.lost": _("Connection lost at {time}. The values shown may be old. Connecting again…"),
    "live.on": _("Live"),
    "live.off": _("Not connected"),
}


def for_scripts(text: Callable[[str], str]) -> dict[str, str]:
    """All texts of scripts in one language, by key; rules, severities and channels as `rule.…`, `severity.…`, `channel.…`."""
    texts = SCRIPTS | {f"rule.{name}": title for name, title in RULES.items()}
    texts |= {f"channel.{name}": title for name, title in CHANNELS.items()}
    texts |= {f"severity.{name}": title for name, title in SEVERITIES.items()}
    return {key: text(message) for key, message in texts.items()}


def reason(text: Callable[[str], str], given: str) -> str:
    """A decision's reason in the reader's language, where it is one that people meet; else as it was given."""
    return text(REASONS.get(given, given))
