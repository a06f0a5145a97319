"""What last night's jobs left behind, as the portal finds it."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from islet.model.job_runs import Kept, Run, encode_kept
from islet.patterns.changes import Evidence
from islet.patterns.cohorts import Cohort, Cohorts, Member
from islet.patterns.summaries import Summaries, Summary
from islet.patterns.watch import PatternChange, PatternChanges
from islet.store.base import EntryKind
from tests.web.portal import Site

ONSET_DAY = 20_500
"""2026-02-16."""


def cohort(id: int, name: str, mg_dl: float, size: int = 5) -> Cohort:
    """A cohort that is the same at all hours."""
    lower, centroid, upper = ((mg_dl + far,) * 24 for far in (-10.0, 0.0, 10.0))
    return Cohort(id=id, name=name, size=size, medoid="", centroid=centroid, lower=lower, upper=upper, spread_mg_dl=8.0)


def last_night(site: Site, people: Sequence[str], *, odd: Sequence[str] = (), changed: Sequence[str] = ()) -> None:
    """Cohorts: people in turn steady and high (nearest first), the odd ones near the steady; changes of the mean."""
    members = {id: Member(1 + i % 2, 4.0 + i, False) for i, id in enumerate(people)}
    members |= {id: Member(1, 63.2, True) for id in odd}
    cohorts = (cohort(1, "steady", 120.0), cohort(2, "high_all_day", 222.0))
    keep(site, "cohorts", Cohorts(cohorts=cohorts, members=members, silhouette=0.31, next_id=3))
    evidence = Evidence(
        metric="mean_mg_dl", onset_day=ONSET_DAY, before=141.2, after=183.3, before_days=28, after_days=6, score=12.5
    )
    change = PatternChange(onset_day=ONSET_DAY, found_day=ONSET_DAY + 6, evidence=(evidence,))
    keep(site, "changes", PatternChanges(changes=dict.fromkeys(changed, change)))
    keep(site, "summaries", Summaries(people={id: summary(120.0 + 30 * i) for i, id in enumerate(people)}))


def summary(mg_dl: float, *, tir_percent: float = 0.0) -> Summary:
    """A fortnight about a mean, without readings in its middle; time in range falls with the mean if it is not given."""
    line = tuple(None if 5 < i < 9 else mg_dl + i for i in range(13))
    tir = tir_percent or max(0.0, 250.0 - mg_dl) / 1.5
    return Summary(
        mean_mg_dl=mg_dl, cv_percent=33.4, tir_percent=tir, tbr_percent=1.6, worn_percent=78.0, moving_mg_dl=line
    )


def keep(site: Site, job: str, result: Struct) -> None:
    """The entry of a job that was done now."""
    run = Run(due_us=site.now_us, began_us=site.now_us, ended_us=site.now_us, outcome="done")
    kept = Kept(run=run, done_us=site.now_us, result=msgspec.Raw(msgspec.json.encode(result)))
    site.registry.put_entry(EntryKind.JOB, job, encode_kept(kept), by="islet", at_us=site.now_us)
