import json

from tests.training_app.generations import answered, asked


def events(response):
    text = b"".join(response.streaming_content).decode()
    return [
        (part.split("\n")[0].removeprefix("event: "), json.loads(part.split("data: ")[1]))
        for part in text.split("\n\n")
        if part.startswith("event: ")
    ]


def test_the_last_event_holds_the_output(api, alice):
    stream = api.get(f"/api/v1/generations/{answered(alice).pk}/events", headers={"accept": "text/event-stream"})
    assert (stream.status_code, stream["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    [(name, told)] = events(stream)
    assert (name, told["state"], told["output"]) == ("generation", "done", "rain on my roses")


def test_a_stream_ends_after_a_while_and_says_how_it_stands(api, alice, settings):
    settings.EVENT_STREAM_SECONDS = 0.2
    told = events(api.get(f"/api/v1/generations/{asked(alice).pk}/events"))
    assert [one["state"] for _, one in told] == ["waiting"]
