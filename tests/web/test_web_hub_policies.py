"""The page with the hub policies' keys: administrators renew them, and see a new one once."""

import re

from islet.access.sas import parse_connection_string
from islet.store.hub_policies import policy_key, policy_keys
from tests.web.portal import Site

SAME = {"sec-fetch-site": "same-origin"}


async def test_an_administrator_renews_a_key_and_sees_it_once(site: Site) -> None:
    admin = site.client("admin")
    renewed = await admin.post("/hub-policies", data={"policy": "service", "key": "primary"}, headers=SAME)
    assert renewed.headers["cache-control"] == "no-store"
    found = re.search(r"<code>(HostName=[^<]+)</code>", renewed.text)
    assert found is not None
    shown = parse_connection_string(found[1])
    assert (shown.policy, shown.key) == ("service", policy_key(site.registry, "service"))
    again = (await admin.get("/hub-policies")).text
    assert shown.key not in again and "iothubowner" in again
    assert [(line.by, line.kind, line.id) for line in site.registry.audit()] == [("admin", "hub_policy", "service")]


async def test_nobody_else_renews_one_and_nothing_but_a_policys_key_is(site: Site) -> None:
    before = policy_keys(site.registry, "service")
    nurse, admin = site.client("nurse"), site.client("admin")
    assert (await nurse.get("/hub-policies")).status_code == 403
    wanted = {"policy": "service", "key": "primary"}
    assert (await nurse.post("/hub-policies", data=wanted, headers=SAME)).status_code == 403
    assert (await admin.post("/hub-policies", data=wanted | {"policy": "other"}, headers=SAME)).status_code == 404
    assert (await admin.post("/hub-policies", data=wanted | {"key": "both"}, headers=SAME)).status_code == 400
    assert policy_keys(site.registry, "service") == before
