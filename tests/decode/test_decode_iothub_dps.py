"""Names and topics of the provisioning service."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.iothub_dps import Registrant, Request, is_registrant, parse_registrant, parse_request, response_topic
from islet.errors import ProtocolError


def test_user_names_of_the_sdks_are_understood() -> None:
    python = "0ne00A0B0C/registrations/pump-1/api-version=2019-03-31&ClientVersion=azure-iot-device%2F2.14.0"
    node = "0ne00A0B0C/registrations/pump-1/api-version=2019-03-31&ClientVersion=x%2Fy"
    for username in (python, node):
        assert is_registrant(username)
        assert parse_registrant(username) == Registrant("0ne00A0B0C", "pump-1")
    assert not is_registrant("hub.example/sensor-1/?api-version=2021-04-12")


@pytest.mark.parametrize(
    "username",
    ["/registrations/a/api-version=2019-03-31", "s/registrations/a", "s/registrations/a b/api-version=2019-03-31"],
)
def test_a_user_name_that_is_none_is_refused(username: str) -> None:
    with pytest.raises(ProtocolError):
        parse_registrant(username)


def test_requests_and_answers_have_the_services_topics() -> None:
    assert parse_request("$dps/registrations/PUT/iotdps-register/?$rid=r-1") == Request("r-1")
    status = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r-2&operationId=4.pump-1"
    assert parse_request(status) == Request("r-2", "4.pump-1")
    assert response_topic(202, "r-1", 3) == "$dps/registrations/res/202/?$rid=r-1&retry-after=3"
    assert response_topic(200, "r-2") == "$dps/registrations/res/200/?$rid=r-2"


@given(st.text(max_size=60), st.sampled_from(("", "$dps/registrations/GET/iotdps-get-operationstatus/?")))
def test_any_topic_is_a_request_or_a_protocol_error(text: str, front: str) -> None:
    with contextlib.suppress(ProtocolError):
        parse_request(front + text)
