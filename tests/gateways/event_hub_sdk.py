"""Run by a test: a back end reads devices' messages with the official SDK for Event Hubs. Given: the connection string,
and the file with the hub's authority. Says on a line when it reads, then each message; ends once it was given three.

Ends with 77 where the SDK is not installed.
"""

import json
import sys
import threading
from typing import Any

try:
    from azure.eventhub import EventHubConsumerClient
except ImportError:
    sys.exit(77)


def said(event: Any) -> dict[str, object]:
    annotations = {name.decode(): value for name, value in event.message.annotations.items()}
    message_id = event.system_properties.get(b"message-id")
    return {
        "body": event.body_as_str(),
        "device": annotations["iothub-connection-device-id"].decode(),
        "source": annotations["iothub-message-source"].decode(),
        "message_id": message_id.decode() if message_id else None,
        "properties": {name.decode(): value.decode() for name, value in event.properties.items()},
        "bare": not event.message.properties,
        "offset": event.offset,
    }


def main(text: str, authority: str) -> None:
    client = EventHubConsumerClient.from_connection_string(text, "$Default", connection_verify=authority)
    about = client.get_eventhub_properties()
    empty = client.get_partition_properties("0")["is_empty"]
    ready, got = threading.Barrier(len(about["partition_ids"]) + 1), []

    def take(_: Any, events: list[Any]) -> None:
        for event in events:
            print(json.dumps(said(event)), flush=True)
            got.append(event)
        if len(got) == 3:
            threading.Thread(target=client.close).start()

    def begun(_: Any) -> None:
        threading.Thread(target=ready.wait, daemon=True).start()

    reading = {
        "on_event_batch": take,
        "on_partition_initialize": begun,
        "starting_position": "-1",
        "max_wait_time": 0.2,
    }
    reader = threading.Thread(target=client.receive_batch, kwargs=reading)
    reader.start()
    ready.wait(20)
    print(
        json.dumps({"name": about["eventhub_name"], "partitions": about["partition_ids"], "empty": empty}), flush=True
    )
    reader.join()


main(*sys.argv[1:])
