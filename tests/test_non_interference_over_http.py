"""A user is a wall for programs too: whatever they do with everyone else, what they are told of one user is the same.

Profiles, adapters and answers are asked for as programs do, in exact mode, before and after everybody else's data was
changed. The adapter, the prompts, the documents with their scores and the answers must be equal to the byte.
"""

import pytest

from tests import people
from tests.eval_app.stored import small_encoder, small_t5
from tests.people import ASK, OF_ALICE, OF_BOB, TWEETS

API = "/api/v1"
QUESTION = ASK + "roses and rain in my garden"
WAYS = [
    {"method": "none"},
    {"method": "rag", "retriever": "bm25"},
    {"method": "rag", "retriever": "recency"},
    {"method": "rag", "retriever": "contriever"},
    {"method": "peft"},
    {"method": "peft-rag", "retriever": "bm25"},
]
TRAINING = {"epochs": 8, "learning_rate": 0.03}
# What differs by nature between two times that the same is asked.
OF_THE_MOMENT = ("id", "job_id", "created_at", "finished_at", "milliseconds", "adapter")


@pytest.fixture(autouse=True)
def models(db):
    return small_t5(), small_encoder()


def put(api, user, tweets):
    """Have a user with these tweets."""
    assert api.put(f"{API}/users/{user}").status_code in (200, 201)
    documents = [
        {"id": f"{at}", "task": TWEETS, "date": tweet["date"], "fields": {"text": tweet["text"]}}
        for at, tweet in enumerate(tweets)
    ]
    assert api.post(f"{API}/users/{user}/documents", documents, format="json").status_code == 200


def taught(api, user, in_process):
    """Have an adapter trained of the user; what is told of it."""
    body = {"user": user, "task": TWEETS, "rank": 4, "exact": True, "hyperparameters": TRAINING}
    answer = api.post(f"{API}/adapters", body, format="json")
    assert answer.status_code == 202, answer.json()
    in_process()
    [adapter] = api.get(f"{API}/adapters?user={user}&state=ready").json()["data"]
    return {name: adapter[name] for name in ("version", "content_digest", "steps", "documents")}


def told(api, user, in_process):
    """What previews and answers say of each way to ask for one."""
    asked = []
    for way in WAYS:
        body = {"user": user, "task": TWEETS, "input": QUESTION, "num_beams": 2, "max_output_tokens": 8, **way}
        for door in ("previews", "generations"):
            answer = api.post(f"{API}/{door}", {**body, "exact": True}, format="json")
            assert answer.status_code == 202, answer.json()
            asked.append(f"{API}/{door}/{answer.json()['id']}?include=prompt" if door == "generations" else
                         f"{API}/{door}/{answer.json()['id']}")  # fmt: skip
    in_process()
    answers = [api.get(address).json() for address in asked]
    assert {answer["state"] for answer in answers} == {"done"}
    return [{name: value for name, value in answer.items() if name not in OF_THE_MOMENT} for answer in answers]


def test_what_is_told_of_alice_does_not_change_with_everyone_else(api, api_key, client_of, in_process):
    elsewhere = client_of(api_key(workspace=people.workspace("elsewhere")))
    put(api, "alice", OF_ALICE)
    put(api, "bob", OF_BOB)
    put(elsewhere, "alice", OF_BOB)
    adapter, answers = taught(api, "alice", in_process), told(api, "alice", in_process)

    # Others have words of Alice's, so that whatever counts them over more than her profile counts otherwise.
    hers = [{"text": f"{at} roses and rain in my garden", "date": f"{2000 + at}"} for at in range(9)]
    assert api.delete(f"{API}/users/bob").status_code in (200, 202)
    put(api, "bob", hers)
    put(api, "a newcomer", [*hers, *OF_BOB])
    put(elsewhere, "alice", hers)
    for others, user in ((api, "bob"), (elsewhere, "alice")):
        taught(others, user, in_process)
        told(others, user, in_process)
    # Of what was made of Alice nothing is left to be found again.
    [before] = api.get(f"{API}/adapters?user=alice").json()["data"]
    assert api.delete(f"{API}/adapters/{before['id']}").status_code in (200, 204)

    assert taught(api, "alice", in_process) == adapter
    assert told(api, "alice", in_process) == answers
    # It was no comparison of nothing with nothing.
    assert len({answer["prompt"] for answer in answers}) > 2
    assert len({answer["output"] for answer in answers if "output" in answer}) > 2


def test_the_comparison_would_see_a_change_of_her_own(api, in_process):
    put(api, "alice", OF_ALICE)
    before = taught(api, "alice", in_process), told(api, "alice", in_process)
    put(api, "alice", [{"text": "roses and rain in my garden", "date": "2020"}])
    [adapter] = api.get(f"{API}/adapters?user=alice").json()["data"]
    api.delete(f"{API}/adapters/{adapter['id']}")
    after = taught(api, "alice", in_process), told(api, "alice", in_process)
    assert after[0] != before[0]
    assert after[1] != before[1]
