import pytest

from jobs.models import Job
from tests.eval_app.stored import small_t5
from tests.people import TWEETS
from tests.retrieval_app.trained import TOLD, has_chosen, trained
from tests.training_app.generations import asked
from training_app.models import Generation

ADDRESS = "/api/v1/previews"
BODY = {"user": "alice", "task": TWEETS, "fields": {"text": "roses and rain"}, "k": 2}


@pytest.fixture
def small(db, settings):
    settings.DEFAULT_BASE_MODEL = "small"
    return small_t5()


def test_a_preview_is_the_prompt_with_its_documents_and_tokens(api, alice, small, in_process):
    asked = api.post(ADDRESS, BODY)
    assert (asked.status_code, asked["Location"]) == (202, f"{ADDRESS}/{asked.data['id']}")
    in_process("generate")
    seen = api.get(asked["Location"]).data
    assert seen["state"] == "done"
    assert seen["prompt"].endswith("roses and rain")
    assert "written by a person" in seen["prompt"]
    assert len(seen["retrieval"]["documents"]) == 2
    assert seen["usage"]["input_tokens"] > 10
    assert "output" not in seen


def test_the_generation_has_the_prompt_of_its_preview(api, alice, small, in_process):
    preview = api.post(ADDRESS, BODY).data
    made = api.post("/api/v1/generations", {**BODY, "max_output_tokens": 4, "num_beams": 1}).data
    in_process("generate")
    prompt = api.get(f"/api/v1/generations/{made['id']}?include=prompt").data["prompt"]
    assert prompt == api.get(f"{ADDRESS}/{preview['id']}").data["prompt"]


def test_previews_and_generations_are_not_each_other(api, alice):
    preview, generation = asked(alice, kind=Generation.Kind.PREVIEW), asked(alice)
    assert api.get(f"{ADDRESS}/{generation.pk}").status_code == 404
    assert api.get(f"/api/v1/generations/{preview.pk}").status_code == 404
    assert [row["id"] for row in api.get("/api/v1/generations").data["data"]] == [generation.pk]


def test_what_a_selector_chose_for_the_prompt_is_told(api, alice):
    trained(alice.workspace)
    preview = has_chosen(asked(alice, method="rag", retriever="rspg-pre", kind=Generation.Kind.PREVIEW))
    assert api.get(f"{ADDRESS}/{preview.pk}").data["selection"] == TOLD


def test_a_preview_by_the_selector_that_reads_outputs_is_refused(api, alice, small):
    trained(alice.workspace, "rspg-post", base_model=f"{small.name}@{small.revision}")
    refused = api.post(ADDRESS, {**BODY, "retriever": "rspg-post"})
    assert (refused.status_code, refused.data["errors"][0]["field"]) == (400, "/retriever")
    assert "use rspg-pre" in refused.data["errors"][0]["remedy"].lower()


def test_another_workspaces_preview_does_not_exist(stranger_api, alice):
    assert stranger_api.get(f"{ADDRESS}/{asked(alice, kind=Generation.Kind.PREVIEW).pk}").status_code == 404


def test_a_repeated_request_has_one_effect(api, alice, small):
    first, again = (api.post(ADDRESS, BODY, headers={"idempotency-key": "once"}) for _ in range(2))
    assert first.data == again.data
    assert Job.objects.count() == 1
