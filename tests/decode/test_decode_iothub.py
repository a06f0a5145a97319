"""IoT Hub's ways of writing; the user names are as the named SDKs send them."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import islet.decode.iothub
from islet.decode.iothub import (
    Identity,
    format_properties,
    is_api_version,
    parse_identity,
    parse_properties,
    parse_username,
    request_id,
)
from islet.errors import ProtocolError
from tests.conftest import examples

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.mark.parametrize(
    ("sdk", "text", "client_id", "version"),
    [
        (
            "azure-iot-device 2.14.0",
            "localhost/dev1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%28x%29",
            "dev1",
            "2019-10-01",
        ),
        ("documentation, 2021", "hub.example/dev1/?api-version=2021-04-12", "dev1", "2021-04-12"),
        ("with a model id", "h/dev1/?model-id=dtmi:a;1&api-version=2020-09-30", "dev1", "2020-09-30"),
        ("module", "h/dev1/mod1/?api-version=2021-04-12", "dev1/mod1", "2021-04-12"),
        ("before 2017", "h/dev1/api-version=2016-11-14", "dev1", "2016-11-14"),
        ("before 2017, with client type", "h/dev1/api-version=2016-11-14&DeviceClientType=c", "dev1", "2016-11-14"),
        ("azure-iot-device 1.0.14 for Node", "h/dev1/DeviceClientType=azure-iot-device%2F1.0.14", "dev1", ""),
        ("documentation, 2016", "h/dev1", "dev1", ""),
        ("documentation, 2016, a module", "h/dev1/mod1/", "dev1/mod1", ""),
    ],
)
def test_user_names_of_all_forms_are_read(sdk: str, text: str, client_id: str, version: str) -> None:
    username = parse_username(text)
    assert (username.client_id, username.api_version) == (client_id, version)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("dtmi%3Acom%3Aexample%3AThermostat%3B1", "dtmi:com:example:Thermostat;1"),
        ("dtmi:a_1:B2;12.3", "dtmi:a_1:B2;12.3"),
        ("dtmi:com:example:NoVersion", "dtmi:com:example:NoVersion"),
        ("", ""),
    ],
)
def test_a_model_id_is_read_from_the_user_name(text: str, model: str) -> None:
    assert parse_username(f"h/d/?api-version=2020-09-30&model-id={text}").model_id == model


@pytest.mark.parametrize(
    "text", ["x", "dtmi:", "dtmi:a_;1", "dtmi:1a;1", "dtmi:a;0", "dtmi:a%zz", "dtmi:" + "a" * 2044]
)
def test_what_is_no_model_id_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_username(f"h/d/?api-version=2020-09-30&model-id={text}")


@pytest.mark.parametrize("text", ["", "h", "h/", "h/?x=1", "h/x=1", "/d/?api-version=2021-04-12", "h/d/?api-version=1"])
def test_a_user_name_without_host_or_client_or_with_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_username(text)


def test_a_client_id_names_a_device_or_a_module_of_it() -> None:
    assert parse_identity("dev-1.a%41") == Identity("dev-1.a%41")
    assert parse_identity("dev/mod").telemetry_topic == "devices/dev/modules/mod/messages/events/"


@pytest.mark.parametrize("text", ["", "/", "a/", "/m", "a/b/c", "a b", "a\0", "x" * 129])
def test_what_is_no_device_id_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_identity(text)


def test_a_property_bag_of_the_python_sdk_has_its_dollar_signs_encoded() -> None:
    bag = "%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&kind=a+b"
    assert parse_properties(bag) == {"$.mid": "m 1", "$.ct": "application/json", "$.ce": "utf-8", "kind": "a+b"}


def test_a_property_without_a_value_is_an_empty_one_and_a_last_slash_is_not_part_of_it() -> None:
    assert parse_properties("a&b=&c=1/") == {"a": "", "b": "", "c": "1"}
    assert parse_properties("") == {}


@pytest.mark.parametrize("bag", ["a=%", "a=%4", "%zz=1", "a=%ff"])
def test_a_wrong_encoding_is_refused(bag: str) -> None:
    with pytest.raises(ProtocolError):
        parse_properties(bag)


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=5))
@settings(deadline=None, max_examples=examples(100))
def test_properties_come_back_as_they_were(properties: dict[str, str]) -> None:
    assert parse_properties(format_properties(properties)) == properties


def test_a_twin_request_has_an_id() -> None:
    assert request_id("$iothub/twin/GET/?$rid=a-1") == "a-1"
    with pytest.raises(ProtocolError):
        request_id("$iothub/twin/GET/?x=1")


def test_an_api_version_is_a_date() -> None:
    assert is_api_version("2016-02-03") and is_api_version("2021-04-12-preview")
    assert not is_api_version("") and not is_api_version("latest")


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(islet.decode.iothub).failed == 0
