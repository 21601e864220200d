"""What a user is answered over HTTP, with everything of everybody else changed in between."""

import pytest

from tests.eval_app.stored import small_t5
from tests.people import OF_ALICE, TWEETS, give, person, workspace
from tests.workers.asked import TAUGHT, ask_for_adapter
from users_app.models import EndUser

QUESTION = {"user": "alice", "task": TWEETS, "fields": {"text": "roses and rain in my garden"}}
EXACT = {"exact": True, "max_output_tokens": 8, "num_beams": 2}


@pytest.fixture
def answers(api, alice, settings, in_process):
    """The preview and the exact generation that Alice gets now."""
    settings.DEFAULT_BASE_MODEL = "small"
    small_t5()

    def answers(**told):
        preview = api.post("/api/v1/previews", {**QUESTION, **told}).data["id"]
        made = api.post("/api/v1/generations?include=prompt", {**QUESTION, **EXACT, **told}).data["id"]
        in_process("generate")
        seen = api.get(f"/api/v1/generations/{made}?include=prompt").data
        drawn = api.get(f"/api/v1/previews/{preview}").data
        assert seen["state"] == drawn["state"] == "done"
        return (
            {name: drawn[name] for name in ("prompt", "usage", "method", "retrieval")},
            {name: seen[name] for name in ("prompt", "output", "score", "usage", "method", "retrieval", "adapter")},
        )

    return answers


def change_everybody_else():
    EndUser.objects.exclude(external_id="alice").delete()
    for space, name in (("acme", "bob"), ("acme", "carol"), ("elsewhere", "alice")):
        other = person(workspace(space), name, [{**fields, "text": fields["text"].upper()} for fields in OF_ALICE])
        give(other, OF_ALICE)
        ask_for_adapter(other)


@pytest.mark.parametrize("method", ["rag", "peft-rag"])
def test_nobody_else_changes_what_a_user_is_answered(alice, bob, mallory, in_process, answers, method):
    if method == "peft-rag":
        ask_for_adapter(alice, **TAUGHT)
        in_process("train_adapter")
    before = answers(method=method, k=3)
    change_everybody_else()
    if method == "peft-rag":
        in_process("train_adapter")
    assert answers(method=method, k=3) == before
