"""An old file through the portal: shown with its year, imported once, and in the reports of its days."""

import json

from tests.web.exports_sent import HERE, send_by_page, waiting
from tests.web.portal import Site


async def test_a_file_of_1961_is_shown_imported_once_and_reported(site: Site) -> None:
    nurse = site.client("nurse")
    old = "time,glucose (mg/dL),carbs\n1961-04-12 07:05,112,30\n1961-04-12 07:10,118,\n"
    for said in ("3 events are new; 0 were there already.", "0 events are new; 3 were there already."):
        where = (await send_by_page(nurse, ("vostok.csv", old))).headers["location"]
        waiting(site, where)
        page = (await nurse.get(where)).text
        assert "meals: 1; sensor readings: 2" in page
        assert "Apr 12, 1961, 7:05:00\u202fAM" in page
        await nurse.post(where, data={"act": "import"}, headers=HERE)
        waiting(site, where)
        assert said in (await nurse.get(where)).text
    site.follow()
    assert (await nurse.get("/patients/p-1")).status_code == 200
    report = json.loads((await nurse.get("/api/patients/p-1/reports/seven-day?to=1961-04-12")).text)
    assert (report["period"]["last"], report["glucose"]["mean_mg_dl"]) == ("1961-04-12", 115.0)
    measured = (await nurse.get("/api/patients/p-1/metrics?to=1961-04-12")).json()
    assert measured["period"]["to"].startswith("1961-04-13T00:00:00")
    assert (await nurse.get("/api/patients/p-1/metrics?to=1899-12-31")).status_code == 400
