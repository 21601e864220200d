import pytest

from jobs.models import Job
from jobs.services import cancel
from tests.eval_app.stored import small_t5
from tests.people import ASK, TWEETS, tweets_of
from tests.retrieval_app.trained import TOLD, has_chosen, trained
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.generations import answered, asked, job_of
from training_app.adapters import record_adapter
from training_app.generations import conclude_all
from training_app.models import Generation

ADDRESS = "/api/v1/generations"


@pytest.fixture
def small(db, settings):
    """The small model of the repository, which a worker has loaded."""
    settings.DEFAULT_BASE_MODEL = "small"
    return small_t5()


@pytest.fixture
def unloaded(db):
    """A base model that nobody needs to load."""
    return a_base_model()


def body(**told):
    return {"user": "alice", "task": TWEETS, "fields": {"text": "roses and rain"}, **told}


def test_a_generation_is_asked_for_and_then_looked_up(api, alice, small, in_process):
    asked = api.post(ADDRESS, body(max_output_tokens=4, num_beams=1))
    assert asked.status_code == 202
    assert asked["Location"] == f"{ADDRESS}/{asked.data['id']}"
    assert (asked.data["state"], asked.data["output"]) == ("waiting", None)
    in_process("generate")
    done = api.get(asked["Location"]).data
    stored = Generation.objects.get(pk=done["id"])
    assert (done["state"], done["output"]) == ("done", stored.output)


def test_the_answer_says_how_it_came_about(api, alice, small, in_process):
    made = api.post(ADDRESS, body(max_output_tokens=4, num_beams=1, k=2, seed=5)).data
    in_process("generate")
    done = api.get(f"{ADDRESS}/{made['id']}").data
    stored = Generation.objects.get(pk=made["id"])
    assert done["method"] == {
        "asked": "auto",
        "used": "rag",
        "reason": "The user has no usable adapter, and a profile of 5 documents to retrieve from.",
    }
    names = {document.pk: f"alice-{at}" for at, document in enumerate(tweets_of(alice))}
    assert done["retrieval"] == {
        "retriever": "bm25",
        "encoder": None,
        "k": 2,
        "profile_documents": 5,
        "documents": [
            {"id": names[document_id], "score": score}
            for document_id, score in zip(stored.retrieved_document_ids, stored.retrieved_scores, strict=True)
        ],
    }
    assert done["base_model"] == {"name": "small", "revision": small.revision}
    assert done["usage"] == {"input_tokens": stored.input_tokens, "output_tokens": stored.output_tokens}
    assert done["milliseconds"]["model"] > 0
    assert done["parameters"]["seed"] == 5
    assert done["job_id"] == job_of(stored).pk
    assert done["problem"] is None


def test_the_adapter_that_answers_is_named(api, alice, unloaded):
    adapter = record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
    made = api.post(ADDRESS, body(method="peft", base_model="some/t5")).data
    assert (made["adapter"]["id"], made["adapter"]["version"]) == (adapter.pk, adapter.identity)
    assert made["retrieval"] is None


def test_what_a_selector_chose_is_told_with_the_scores_of_all(api, alice, unloaded):
    trained(alice.workspace)
    made = api.post(ADDRESS, body(method="rag", retriever="rspg-pre", base_model="some/t5")).data
    assert (made["retrieval"]["retriever"], made["selection"]) == ("rspg-pre", None)
    has_chosen(Generation.objects.get(pk=made["id"]))
    assert api.get(f"{ADDRESS}/{made['id']}").data["selection"] == TOLD
    assert api.get(ADDRESS).data["data"][0]["selection"] == TOLD


def test_where_no_selector_chooses_there_is_no_selection(api, alice):
    assert api.get(f"{ADDRESS}/{answered(alice, method='rag').pk}").data["selection"] is None


def test_the_encoder_of_a_fine_tuned_retriever_is_named(api, alice, unloaded):
    encoder = trained(alice.workspace, "ropg-kd").encoder
    made = api.post(ADDRESS, body(method="rag", retriever="ropg-kd", base_model="some/t5")).data
    assert (made["retrieval"]["retriever"], made["retrieval"]["encoder"]) == (
        "ropg-kd",
        f"fine-tuned@{encoder.revision}",
    )


@pytest.mark.parametrize("retriever", ["ropg-kd", "ropg-rl", "rspg-pre", "rspg-post"])
def test_a_retriever_that_was_not_trained_yet_is_refused_with_what_to_do(api, alice, unloaded, retriever):
    refused = api.post(ADDRESS, body(method="rag", retriever=retriever, base_model="some/t5"))
    assert (refused.status_code, refused.data["type"]) == (409, "urn:lamppost:problem:no-trained-model")
    assert refused.data["errors"][0]["field"] == "/retriever"
    assert "POST /api/v1/model-trainings" in refused.data["detail"]


def test_another_workspaces_selector_is_nobodys_here(api, alice, mallory, unloaded):
    trained(mallory.workspace)
    refused = api.post(ADDRESS, body(method="rag", retriever="rspg-pre", base_model="some/t5"))
    assert refused.data["type"] == "urn:lamppost:problem:no-trained-model"


def test_a_list_takes_no_more_statements_for_more_selections(api, alice, django_assert_max_num_queries):
    trained(alice.workspace)
    for _ in range(10):
        has_chosen(answered(alice, method="rag", retriever="rspg-pre"))
    with django_assert_max_num_queries(12):
        assert [row["selection"] for row in api.get(ADDRESS).data["data"]] == [TOLD] * 10


def test_texts_are_in_the_answer_on_request_alone(api, alice):
    generation = answered(alice)
    plain = api.get(f"{ADDRESS}/{generation.pk}").data
    assert not {"prompt", "input"} & plain.keys()
    full = api.get(f"{ADDRESS}/{generation.pk}?include=prompt,input").data
    assert (full["prompt"], full["input"]) == ("the prompt", generation.input)
    wrong = api.get(f"{ADDRESS}/{generation.pk}?include=documents")
    assert (wrong.status_code, wrong.data["errors"][0]["field"]) == (400, "?include")


def test_a_preference_to_wait_is_applied(api, alice):
    generation = answered(alice)
    waited = api.get(f"{ADDRESS}/{generation.pk}", headers={"prefer": "wait=7"})
    assert (waited.status_code, waited["Preference-Applied"]) == (200, "wait=7")
    assert "Preference-Applied" not in api.get(f"{ADDRESS}/{generation.pk}")


def test_a_wait_that_is_too_short_leaves_the_answer_to_be_looked_up(api, alice, unloaded):
    asked = api.post(ADDRESS, body(base_model="some/t5"), headers={"prefer": "wait=0"})
    assert (asked.status_code, asked["Preference-Applied"]) == (202, "wait=0")
    assert asked["Location"].endswith(str(asked.data["id"]))


def test_a_repeated_request_has_one_effect_and_the_same_answer(api, alice, unloaded):
    first, again = (
        api.post(ADDRESS, body(base_model="some/t5"), headers={"idempotency-key": "once"}) for _ in range(2)
    )
    assert first.data == again.data
    assert again["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == Generation.objects.count() == 1
    other = api.post(ADDRESS, body(base_model="some/t5", k=1), headers={"idempotency-key": "once"})
    assert other.status_code == 422


def test_a_replayed_request_says_how_it_stands_now(api, alice, small, in_process):
    def post():
        return api.post(ADDRESS, body(max_output_tokens=4, num_beams=1), headers={"idempotency-key": "once"})

    assert post().status_code == 202
    in_process("generate")
    assert (post().status_code, post().data["state"]) == (200, "done")


def test_a_failed_generation_has_a_problem_inside(api, alice):
    generation = asked(alice)
    Job.objects.all().delete()
    conclude_all([generation.pk])
    seen = api.get(f"{ADDRESS}/{generation.pk}")
    assert (seen.status_code, seen.data["state"]) == (200, "failed")
    assert seen.data["problem"]["type"] == "urn:lamppost:problem:generation-failed"
    assert seen.data["output"] is None


def test_a_cancelled_generation_says_so(api, alice, django_capture_on_commit_callbacks):
    generation = asked(alice)
    with django_capture_on_commit_callbacks(execute=True):
        cancel(job_of(generation).pk)
    seen = api.get(f"{ADDRESS}/{generation.pk}").data
    assert (seen["state"], seen["problem"]["title"]) == ("cancelled", "Generation cancelled")


def test_a_user_without_an_adapter_is_told_what_to_do(api, alice, unloaded):
    refused = api.post(ADDRESS, body(method="peft-rag", base_model="some/t5"))
    assert (refused.status_code, refused.data["type"]) == (409, "urn:lamppost:problem:no-adapter")
    assert "POST /api/v1/adapters" in refused.data["detail"]


def test_before_a_worker_has_loaded_the_default_model_it_says_when_to_come_again(api, alice):
    refused = api.post(ADDRESS, body())
    assert (refused.status_code, refused["Retry-After"]) == (409, "5")
    assert refused.data["type"] == "urn:lamppost:problem:base-model-not-ready"
    assert Job.objects.filter(kind="record_default_models").exists()


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ({"user": None}, "/user"),
        ({"fields": "text"}, "/fields"),
        ({"fields": None}, "/fields"),
        ({"method": "magic"}, "/method"),
        ({"retriever": "google"}, "/retriever"),
        ({"k": 0}, "/k"),
        ({"k": 51}, "/k"),
        ({"k": "4"}, "/k"),
        ({"max_output_tokens": 513}, "/max_output_tokens"),
        ({"num_beams": 17}, "/num_beams"),
        ({"num_beams": True}, "/num_beams"),
        ({"seed": -1}, "/seed"),
        ({"exact": 1}, "/exact"),
        ({"temperature": 1}, "/temperature"),
        ({"input": ASK + "x"}, ""),
        ({"fields": {"text": {"deep": 1}}}, "/fields/text"),
        ({"task": "LaMP-99"}, "/task"),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be_used_is_said_where_it_stands(api, alice, unloaded, told, place):
    refused = api.post(ADDRESS, body(base_model="some/t5", **told))
    assert refused.status_code == 400
    assert refused.data["errors"][0]["field"] == place
    assert not Generation.objects.exists()


def test_the_list_is_of_this_workspace_the_newest_first(api, stranger_api, alice, bob, mallory):
    ids = [asked(user).pk for user in (alice, bob, alice)]
    asked(mallory)
    assert [row["id"] for row in api.get(ADDRESS).data["data"]] == ids[::-1]
    assert [row["id"] for row in api.get(f"{ADDRESS}?user=alice").data["data"]] == [ids[2], ids[0]]
    assert [row["user"] for row in stranger_api.get(ADDRESS).data["data"]] == ["mallory"]


def test_the_list_is_filtered_by_state(api, alice, in_process):
    waiting, running, done, failed = asked(alice), asked(alice), answered(alice), asked(alice)
    Job.objects.filter(pk=job_of(running).pk).update(
        state="running", attempts=1, claim="00000000-0000-0000-0000-000000000001", lease_until="2100-01-01T00:00Z",
        started_at="2020-01-01T00:00Z",
    )  # fmt: skip
    Job.objects.filter(pk=job_of(failed).pk).delete()
    conclude_all([failed.pk])
    expected = {"waiting": waiting, "running": running, "done": done, "failed": failed}
    for state, generation in expected.items():
        rows = api.get(f"{ADDRESS}?state={state}").data["data"]
        assert [(row["id"], row["state"]) for row in rows] == [(generation.pk, state)]


def test_pages_follow_each_other(api, alice):
    ids = [asked(alice).pk for _ in range(3)]
    first = api.get(f"{ADDRESS}?limit=2").data
    second = api.get(f"{ADDRESS}?limit=2&cursor={first['next_cursor']}").data
    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_what_an_experiment_asks_is_nobodys_to_see(api, alice):
    generation = asked(alice)
    Generation.objects.filter(pk=generation.pk).update(asked_method="")
    assert api.get(ADDRESS).data["data"] == []
    assert api.get(f"{ADDRESS}/{generation.pk}").status_code == 404


def test_another_workspaces_generations_and_users_do_not_exist(api, stranger_api, alice, unloaded):
    generation = answered(alice)
    for address in (f"{ADDRESS}/{generation.pk}", f"{ADDRESS}/{generation.pk}/events"):
        assert stranger_api.get(address).status_code == 404
    assert stranger_api.post(f"{ADDRESS}/{generation.pk}/feedback", {"rating": "rejected"}).status_code == 404
    refused = stranger_api.post(ADDRESS, body(base_model="some/t5"))
    never = stranger_api.post(ADDRESS, body(base_model="some/t5", user="nobody"))
    assert refused.status_code == never.status_code == 404
    assert {**refused.data, "request_id": ""} == {**never.data, "request_id": ""}


def test_no_log_holds_what_was_sent(api, alice, small, in_process, caplog):
    with caplog.at_level("INFO"):
        api.post(ADDRESS, body(fields={"text": "s3cret words"}, max_output_tokens=4, num_beams=1))
        api.post(ADDRESS, body(fields={"text": 3, "s3cret": 1}))
        in_process("generate")
    assert "s3cret" not in caplog.text
