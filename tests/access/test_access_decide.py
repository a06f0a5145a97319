"""The decision: the first permission that fits, by priority; default no; and a reason each time."""

from hypothesis import example, given
from hypothesis import strategies as st

from islet.access.actions import MEANING, OF_INSTALLATION, SUBJECTS, Action
from islet.access.decide import EVERYBODY, NO_CONSENT, NO_CONSENT_YET, NOT_ASSIGNED, Decision, decide, seen
from islet.access.roles import OF_ROLE
from islet.model.people import Kind, Principal, Role
from islet.model.permissions import ASSIGNED, DEFAULT_PRIORITY, Permission, Verb

PATIENTS = ("p-1", "p-2", "p-3")
WARD = {"group/ward": frozenset({"p-2", "p-3"})}


def person(
    role: Role, *patients: str, granted: tuple[Permission, ...] = (), consents: dict[str, bool] | None = None
) -> Principal:
    ordered = tuple(sorted(granted, key=lambda one: (one.priority, one.authorized, one.id)))
    wards = WARD if any(one.principal_for in WARD for one in granted) else {}
    return Principal(
        kind=Kind.USER,
        role=role,
        name="anna",
        patients=patients,
        granted=ordered,
        patient_groups=wards,
        consents=consents or {},
    )


VIEW_P2 = Permission(id="a", issued_to="user/anna", principal_for="p-2", action=Verb.VIEW, filter=("patient",))
WITHDRAWN = {"p-1": False}

permissions = st.builds(
    Permission,
    id=st.sampled_from("abcdef"),
    principal_for=st.sampled_from(["", ASSIGNED, *WARD, *PATIENTS]),
    action=st.none() | st.sampled_from(Verb),
    filter=st.just(()) | st.tuples(st.sampled_from(SUBJECTS)),
    priority=st.integers(1, DEFAULT_PRIORITY - 1),
    authorized=st.booleans(),
)
principals = st.builds(
    person,
    st.sampled_from(Role),
    granted=st.lists(permissions, max_size=4).map(tuple),
    consents=st.dictionaries(st.sampled_from(PATIENTS), st.booleans()),
).flatmap(
    lambda one: st.lists(st.sampled_from([*PATIENTS, EVERYBODY]), max_size=2, unique=True).map(
        lambda own: person(one.role or Role.PATIENT, *own, granted=one.granted, consents=one.consents)
    )
)


def test_a_permission_adds_one_patient_to_those_of_the_role() -> None:
    nurse = person(Role.CLINICIAN, "p-1", granted=(VIEW_P2,))
    assert decide(nurse, Action.VIEW_PATIENT, "p-2").reason == "an administrator has granted this"
    assert decide(nurse, Action.VIEW_PATIENT, "p-2").permission == "a"
    assert not decide(nurse, Action.ACKNOWLEDGE, "p-2").allowed
    assert seen(nurse, Action.VIEW_PATIENT) == frozenset({"p-1", "p-2"})


def test_a_permission_for_a_group_is_for_each_of_its_patients() -> None:
    view = Permission(id="a", issued_to="user/anna", principal_for="group/ward", action=Verb.VIEW, filter=("patient",))
    nurse = person(Role.CLINICIAN, "p-1", granted=(view,))
    assert seen(nurse, Action.VIEW_PATIENT) == frozenset(PATIENTS)
    assert not decide(nurse, Action.VIEW_PATIENT, "group/ward").allowed
    refused = Permission(id="b", principal_for="group/ward", authorized=False, priority=1)
    admin = person(Role.ADMINISTRATOR, granted=(refused,))
    assert seen(admin, Action.VIEW_PATIENT, lambda: PATIENTS) == frozenset({"p-1"})
    emptied = Principal(kind=Kind.USER, role=Role.CLINICIAN, name="anna", granted=(view,), patient_groups={})
    assert not decide(emptied, Action.VIEW_PATIENT).allowed


FOR_PATIENTS = [action for action in Action if action not in OF_INSTALLATION]


@given(permissions, st.sampled_from(FOR_PATIENTS))
def test_no_permission_stands_before_the_patients_word(granted: Permission, action: Action) -> None:
    for role in Role:
        refused = person(role, *PATIENTS, granted=(granted,), consents=WITHDRAWN)
        assert decide(refused, action, "p-1") == Decision(False, NO_CONSENT)
        assert "p-1" not in set(PATIENTS if (shown := seen(refused, action, lambda: PATIENTS)) is None else shown)


@given(permissions, st.sampled_from([one for one in FOR_PATIENTS if one is not Action.GIVE_CONSENT]))
def test_a_care_partner_sees_nothing_of_a_patient_who_has_not_consented(granted: Permission, action: Action) -> None:
    anna = person(Role.CARE_PARTNER, "p-1", granted=(granted,))
    assert decide(anna, action, "p-1") == Decision(False, NO_CONSENT_YET)
    assert decide(anna, action, "p-2") == Decision(False, NOT_ASSIGNED)
    assert seen(anna, action, lambda: PATIENTS) == frozenset()


def test_an_assignment_counts_from_the_moment_of_consent_and_a_consent_only_with_the_assignment() -> None:
    assert not decide(person(Role.CARE_PARTNER, "p-1"), Action.VIEW_PATIENT).allowed
    anna = person(Role.CARE_PARTNER, "p-1", consents={"p-1": True, "p-2": True})
    assert seen(anna, Action.VIEW_PATIENT) == frozenset({"p-1"})
    assert decide(anna, Action.VIEW_PATIENT, "p-2").reason == NOT_ASSIGNED
    granted = person(Role.CARE_PARTNER, granted=(VIEW_P2,), consents={"p-2": True})
    assert decide(granted, Action.VIEW_PATIENT, "p-2").permission == "a"


def test_nobody_but_care_partners_waits_for_consent() -> None:
    for role in set(Role) - {Role.CARE_PARTNER}:
        plain, asked = person(role, "p-1"), person(role, "p-1", consents={"p-1": True, "p-2": True})
        assert [decide(plain, one, "p-1") for one in Action] == [decide(asked, one, "p-1") for one in Action]


def test_a_parent_who_follows_gives_the_consent_that_they_were_granted() -> None:
    named = Permission(id="b", issued_to="user/anna", principal_for="p-1", filter=("consent",))
    assert decide(person(Role.CARE_PARTNER, "p-1", granted=(named,)), Action.GIVE_CONSENT, "p-1").allowed
    again = person(Role.CARE_PARTNER, "p-1", granted=(named,), consents=WITHDRAWN)
    assert decide(again, Action.GIVE_CONSENT, "p-1").reason == NO_CONSENT


def test_of_one_priority_the_refusal_goes_first() -> None:
    yes, no = (Permission(id=id, principal_for="p-1", authorized=id == "yes") for id in ("yes", "no"))
    assert not decide(person(Role.PATIENT, granted=(yes, no)), Action.VIEW_PATIENT, "p-1").allowed


def test_one_patient_can_be_kept_from_somebody_who_sees_everybody() -> None:
    admin = person(Role.ADMINISTRATOR, consents=WITHDRAWN)
    assert seen(admin, Action.VIEW_PATIENT, lambda: PATIENTS) == frozenset({"p-2", "p-3"})
    assert seen(person(Role.ADMINISTRATOR), Action.VIEW_PATIENT, lambda: PATIENTS) is None


@given(st.sampled_from([*PATIENTS, ASSIGNED, *WARD]), st.none() | st.sampled_from(Verb), st.sampled_from(Role))
def test_what_is_granted_for_patients_is_nothing_of_the_installation(whom: str, verb: Verb | None, role: Role) -> None:
    granted = Permission(id="a", issued_to="user/anna", principal_for=whom, action=verb)
    plain, given = person(role, "p-1"), person(role, "p-1", granted=(granted,))
    for action in OF_INSTALLATION:
        assert decide(given, action) == decide(plain, action)
        assert decide(given, action, "p-1") == decide(plain, action, "p-1")


def test_leave_to_do_everything_for_a_patient_is_not_their_consent() -> None:
    everything = Permission(id="a", issued_to="user/anna", principal_for="p-1")
    named = Permission(id="b", issued_to="user/anna", principal_for="p-1", filter=("consent",))
    assert not decide(person(Role.CLINICIAN, granted=(everything,)), Action.GIVE_CONSENT, "p-1").allowed
    assert decide(person(Role.CLINICIAN, granted=(named,)), Action.GIVE_CONSENT, "p-1").allowed


def test_a_key_does_no_more_than_its_scope() -> None:
    mirror = Principal(
        kind=Kind.APPLICATION, role=Role.APPLICATION, name="m", patients=("*",), scope=(Action.CONSUME_LOG,)
    )
    assert decide(mirror, Action.CONSUME_LOG, "p-1").allowed
    assert decide(mirror, Action.VIEW_PATIENT, "p-1").reason == "the key that was shown does not include this"


def test_a_hub_policy_is_told_what_it_lacks() -> None:
    service = Principal(kind=Kind.SERVICE, name="service", rights=("ServiceConnect",))
    assert decide(service, Action.COMMAND_DEVICES).allowed
    assert decide(service, Action.WRITE_REGISTRY).reason == "the hub policy does not grant this"


def test_nobody_but_devices_sends_readings_and_nobody_but_the_patient_consents() -> None:
    senders = {role for role, rows in OF_ROLE.items() if any(one.filter == ("event",) for one in rows.values())}
    consenting = {role for role, rows in OF_ROLE.items() if any(one.filter == ("consent",) for one in rows.values())}
    assert (senders, consenting) == ({Role.DEVICE}, {Role.PATIENT})


def test_every_action_is_another_verb_or_subject() -> None:
    assert len(set(MEANING.values())) == len(Action) == len(MEANING)


ALL_BUT_THEIRS = (
    Permission(id="no", principal_for=ASSIGNED, authorized=False, priority=1),
    Permission(id="yes", priority=2),
)


@given(principals, st.sampled_from(Action))
@example(person(Role.CLINICIAN, "p-1", granted=ALL_BUT_THEIRS), Action.VIEW_PATIENT)
def test_a_list_holds_exactly_whom_the_decision_allows(principal: Principal, action: Action) -> None:
    shown = seen(principal, action, lambda: PATIENTS)
    allowed = {patient for patient in PATIENTS if decide(principal, action, patient).allowed}
    assert allowed == (set(PATIENTS) if shown is None else shown)


@given(principals, st.sampled_from(Action), st.sampled_from(PATIENTS))
def test_without_a_grant_and_without_a_role_nobody_may_anything(
    principal: Principal, action: Action, patient: str
) -> None:
    nobody = Principal(kind=principal.kind, name=principal.name, patients=principal.patients)
    decision = decide(nobody, action, patient)
    assert not decision.allowed
    assert decision.reason
