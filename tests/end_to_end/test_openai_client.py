"""A running installation in the hands of OpenAI's official client, from an empty folder to a personal model."""

import json
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from embedded.ports import free_port
from tests.people import ASK, OF_ALICE, OF_BOB, OF_MALLORY
from tests.workers.plain_peft import answers_in_plain_peft

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

TWEETS = {"alice": OF_ALICE, "bob": OF_BOB, "carol": OF_MALLORY}
TEXT = ASK + "roses and rain in my garden"
MESSAGES = [{"role": "user", "content": TEXT}]
# Enough that the small model answers otherwise than without.
TAUGHT = {"epochs": 12, "learning_rate": 0.03, "max_input_tokens": 64, "max_output_tokens": 32}


@pytest.fixture(scope="module")
def address(installation):
    """Where the installation listens."""
    port = free_port()
    serve = installation.start("serve", "--port", str(port), "--cpu-workers", "1")
    yield f"http://127.0.0.1:{port}"
    serve.send_signal(signal.SIGTERM)
    out, err = serve.communicate(timeout=120)
    assert serve.returncode == 0, out + err


@pytest.fixture(scope="module")
def key(installation, address):
    """An API key for everything, once the installation answers."""
    until = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/v1/openapi.json").close()
            break
        except urllib.error.URLError:
            assert time.monotonic() < until
            time.sleep(0.5)
    made = installation.run("create_api_key", "--workspace", "acme", "--name", "test", "--scopes", "all")
    return made.strip()


@pytest.fixture(scope="module")
def rest(address, key):
    """Send a request to the API; what it answers."""

    def rest(method, path, body=None):
        request = urllib.request.Request(
            f"{address}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    return rest


@pytest.fixture(scope="module")
def client(address, key, rest):
    """The official client. Three people have documents, and the model is loaded."""
    for user, tweets in TWEETS.items():
        rest("PUT", f"users/{user}", {})
        documents = [
            {"id": str(at), "task": "LaMP-7", "fields": {"text": tweet["text"]}, "date": tweet["date"]}
            for at, tweet in enumerate(tweets)
        ]
        rest("POST", f"users/{user}/documents", documents)
    made = openai.OpenAI(base_url=f"{address}/v1", api_key=key)
    # A worker loads it after it has started.
    until = time.monotonic() + 240
    while not list(made.models.list()):
        assert time.monotonic() < until
        time.sleep(0.5)
    return made


@pytest.fixture(scope="module")
def adapter(client, rest):
    """Alice's, trained."""
    asked = {"user": "alice", "task": "LaMP-7", "hyperparameters": TAUGHT}
    job = rest("POST", "adapters", asked)["job"]["id"]
    until = time.monotonic() + 240
    while (state := rest("GET", f"jobs/{job}"))["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        time.sleep(0.5)
    assert state["state"] == "done", state
    return rest("GET", f"adapters/{state['result']['adapter_id']}")


def chat(client, user="alice", **changed):
    asked = {"model": "small", "user": user, "messages": MESSAGES, "max_tokens": 12, **changed}
    return client.chat.completions.create(**asked)


def test_the_model_of_the_installation_is_there_by_its_name(client):
    assert [model.id for model in client.models.list()] == ["small"]


def test_a_chat_completion_is_personalized_and_says_how(client):
    answer = chat(client)
    assert answer.choices[0].message.content
    assert answer.lamppost["method"] in ("rag", "peft-rag")
    assert answer.usage.prompt_tokens > 30


def test_a_stream_has_the_same_text(client):
    whole = chat(client, "bob").choices[0].message.content
    chunks = list(chat(client, "bob", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_many_users_at_once_are_all_answered(client):
    alone = {user: chat(client, user).choices[0].message.content for user in TWEETS}
    users = list(TWEETS) * 6
    with ThreadPoolExecutor(len(users)) as pool:
        answers = list(pool.map(lambda user: chat(client, user).choices[0].message.content, users))
    assert answers == [alone[user] for user in users]


def test_a_user_s_own_adapter_answers_and_is_the_same_in_plain_peft(client, adapter, rest, tmp_path):
    extra = {"method": "peft"}
    served = chat(client, extra_body=extra)
    assert served.lamppost["adapter_id"] == adapter["id"]
    for file in rest("GET", f"adapters/{adapter['id']}/download")["files"]:
        (tmp_path / file["name"]).write_bytes(urllib.request.urlopen(file["url"]).read())
    search = {"num_beams": 4, "max_new_tokens": 12}
    base, personal = answers_in_plain_peft([tmp_path], prompt=TEXT, search=search)
    assert served.choices[0].message.content == personal.text != base.text
    assert served.usage.completion_tokens == personal.tokens


def test_without_an_adapter_the_client_is_told_at_once(client):
    begun = time.monotonic()
    with pytest.raises(openai.ConflictError, match="POST /api/v1/adapters") as raised:
        chat(client.with_options(max_retries=6), "bob", extra_body={"method": "peft"})
    assert raised.value.code == "no_adapter"
    # The client would try again for a quarter of a minute at least.
    assert time.monotonic() - begun < 8


def test_a_client_that_goes_away_loses_nothing(client, rest):
    before = {row["id"] for row in rest("GET", "generations")["data"]}
    # No answer comes within a millisecond of the request's last byte.
    impatient = openai.Timeout(30, read=0.001)
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=impatient, max_retries=0), "carol")
    until = time.monotonic() + 120
    while not (made := [row for row in rest("GET", "generations")["data"] if row["id"] not in before]) or any(
        row["state"] != "done" for row in made
    ):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert [row["user"] for row in made] == ["carol"]


def test_a_stream_that_nobody_reads_to_its_end_takes_no_thread_for_ever(client):
    for _ in range(20):
        chat(client, "carol", stream=True).close()
    assert chat(client, "carol").choices[0].message.content
