"""`/v1/…` in the hands of OpenAI's official client: models, completions, chat completions, streams and errors."""

import json
import re

import openai
import pytest

from common.api.bounded_streams import Places
from jobs.models import Job
from tests.eval_app.stored import small_t5
from tests.people import ASK, give
from tests.retrieval_app.trained import TOLD, has_chosen, trained
from tests.training_app.api.openai_client import openai_client
from tests.training_app.generations import ANSWERED
from training_app.adapters import ensure_base_model
from training_app.generations import Answer, record_answers
from training_app.models import Generation
from users_app.services import ensure_end_user

TEXT = ASK + "roses and rain in my garden"
MESSAGES = [{"role": "user", "content": TEXT}]
ASKED = {"model": "small", "user": "alice", "messages": MESSAGES, "max_tokens": 6}
CHAT = "/v1/chat/completions"


@pytest.fixture
def waiting(monkeypatch):
    """Let whoever waits for an answer, once or as often as a stream looks, do this: `waiting(function)`."""

    def instead(wait):
        for name in ("wait_for", "wait_paced"):
            monkeypatch.setattr(f"training_app.api.openai_shaped.views.{name}", wait)

    return instead


@pytest.fixture(autouse=True)
def answering(in_process, waiting):
    """The models are recorded, and whoever waits for an answer makes a worker give it."""
    small_t5()

    def wait_for(generation_ids, *, seconds):
        in_process("generate")
        return True

    waiting(wait_for)


@pytest.fixture
def client(api_key, db):
    return openai_client(api_key().token)


@pytest.fixture
def complete(client):
    """Ask for a chat completion of Alice's."""

    def complete(**changed):
        return client.chat.completions.create(**{**ASKED, **changed})

    return complete


def error_of(asked, **changed):
    with pytest.raises(openai.APIStatusError) as raised:
        asked(**changed)
    return raised.value


# --- models


def test_each_base_model_is_a_model_by_its_name(client):
    ensure_base_model(name="some/t5", revision="1")
    assert [model.id for model in client.models.list()] == ["some/t5", "small"]
    assert client.models.retrieve("some/t5").id == "some/t5"
    assert client.models.retrieve("small").owned_by == "lamppost"


def test_an_unknown_model_is_not_found(client, complete, alice):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-4o")
    assert raised.value.code == "model_not_found"
    error = error_of(complete, model="gpt-4o")
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")
    assert "small" in error.message


# --- answers


def test_a_chat_completion_is_the_answer_to_the_last_message(complete, alice):
    answer = complete()
    stored = Generation.objects.get()
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", stored.output)
    assert stored.input == TEXT
    assert (answer.object, answer.model, answer.id) == ("chat.completion", "small", f"chatcmpl-{stored.pk}")
    assert answer.usage.total_tokens == stored.input_tokens + stored.output_tokens
    assert (answer.lamppost["method"], answer.lamppost["selection"]) == (stored.family, None)


def test_a_completion_is_the_answer_to_the_prompt(client, alice):
    answer = client.completions.create(model="small", user="alice", prompt=[TEXT], max_tokens=6)
    stored = Generation.objects.get()
    assert (answer.object, answer.choices[0].text, stored.input) == ("text_completion", stored.output, TEXT)


def test_both_ask_for_the_same(client, complete, alice):
    chat = complete()
    plain = client.completions.create(model="small", user="alice", prompt=TEXT, max_tokens=6)
    assert plain.choices[0].text == chat.choices[0].message.content
    assert plain.system_fingerprint == chat.system_fingerprint


def test_an_answer_as_long_as_allowed_was_cut(complete, alice):
    assert complete(max_tokens=1).choices[0].finish_reason == "length"


def test_the_limit_may_stand_under_either_name(complete, alice):
    complete(max_tokens=openai.omit, max_completion_tokens=3)
    assert Generation.objects.get().parameters["max_output_tokens"] == 3


def test_the_fields_beside_the_standard_choose_how_it_is_personalized(complete, alice):
    extra = {"task": "LaMP-7", "method": "rag", "retriever": "recency", "k": 2, "num_beams": 1}
    complete(extra_body=extra)
    stored = Generation.objects.get()
    assert (stored.family, stored.retriever, stored.documents_wanted) == ("rag", "recency", 2)
    assert stored.parameters["num_beams"] == 1


def test_what_a_selector_chose_is_told_beside_the_answer(complete, client, alice, waiting):
    base_model = small_t5()
    trained(alice.workspace, base_model=f"{base_model.name}@{base_model.revision}")

    def answer(generation_ids, *, seconds):
        generation = Generation.objects.get(pk__in=generation_ids)
        record_answers([(generation, ANSWERED)])
        has_chosen(generation)
        return True

    waiting(answer)
    extra = {"method": "rag", "retriever": "rspg-pre"}
    assert complete(extra_body=extra).lamppost["selection"] == TOLD
    *_, last = client.chat.completions.create(**ASKED, stream=True, extra_body=extra)
    assert last.lamppost["selection"] == TOLD


@pytest.mark.parametrize(("kind", "reason"), [("rspg-pre", "length"), ("rspg-post", "stop")])
def test_tokens_of_several_candidates_do_not_pass_for_an_answer_that_was_cut(complete, alice, waiting, kind, reason):
    base_model = small_t5()
    trained(alice.workspace, kind, base_model=f"{base_model.name}@{base_model.revision}")

    def answer(generation_ids, *, seconds):
        generation = Generation.objects.get(pk__in=generation_ids)
        record_answers([(generation, Answer(**{**vars(ANSWERED), "output_tokens": 6}))])
        has_chosen(generation)
        return True

    waiting(answer)
    answered = complete(extra_body={"method": "rag", "retriever": kind})
    assert answered.choices[0].finish_reason == reason


def test_a_retriever_that_was_not_trained_yet_is_a_conflict(complete, alice):
    error = error_of(complete, extra_body={"method": "rag", "retriever": "rspg-post"})
    assert (error.status_code, error.code, error.param) == (409, "no_trained_model", "retriever")
    assert "POST /api/v1/model-trainings" in error.message


def test_content_may_be_parts_of_text(complete, alice):
    parts = [{"type": "text", "text": part} for part in (TEXT, "and more")]
    complete(messages=[{"role": "user", "content": parts}])
    assert Generation.objects.get().input == f"{TEXT}\nand more"


def test_earlier_turns_are_not_read(complete, alice):
    before = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello yourself"}]
    complete(messages=before + MESSAGES)
    assert Generation.objects.get().input == TEXT


def test_one_idempotency_key_has_one_answer(complete, alice):
    first, again = (complete(extra_headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.id == again.id
    assert Generation.objects.count() == 1


# --- streams


def test_a_streamed_chat_completion_says_who_speaks_and_then_all_at_once(client, alice):
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    stored = Generation.objects.get()
    first, last = (chunk.choices[0] for chunk in chunks)
    assert (first.delta.role, first.delta.content, first.finish_reason) == ("assistant", "", None)
    assert (last.delta.content, last.finish_reason) == (stored.output, "length")
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{stored.pk}"}


def test_the_clients_own_helper_puts_the_stream_together(client, alice):
    # The helper takes an answer that was cut for an error.
    asked = {**ASKED, "max_tokens": 64}
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        whole = stream.get_final_completion()
    assert whole.choices[0].message.content == Generation.objects.get().output
    assert whole.usage.completion_tokens == Generation.objects.get().output_tokens


def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for(client, alice):
    *_, last = client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage.prompt_tokens > 0) == ([], True)


def test_a_streamed_completion_is_one_chunk(client, alice):
    [chunk] = client.completions.create(model="small", user="alice", prompt=TEXT, max_tokens=6, stream=True)
    assert chunk.choices[0].text == Generation.objects.get().output


def test_a_stream_ends_as_that_api_says(api, alice):
    response = api.post(CHAT, {**ASKED, "stream": True}, format="json", headers={"accept": "text/event-stream"})
    wire = b"".join(response.streaming_content)
    assert response["Content-Type"].startswith("text/event-stream")
    assert wire.endswith(b"data: [DONE]\n\n")
    events = [line for line in wire.decode().split("\n") if line and not line.startswith(":")]
    assert all(re.match(r"data: (\{.*\}|\[DONE\])$", event) for event in events)


def test_an_answer_that_fails_while_it_is_streamed_is_an_error(client, alice, waiting):
    def fail(generation_ids, *, seconds):
        Generation.objects.update(
            state="failed",
            problem_slug="generation-failed",
            problem_detail="It broke.",
            finished_at="2024-01-01T00:00Z",
        )
        return True

    waiting(fail)
    with pytest.raises(openai.APIError, match="It broke"):
        list(client.chat.completions.create(**ASKED, stream=True))
    error = error_of(lambda: client.chat.completions.create(**ASKED))
    assert (error.status_code, error.code, error.type) == (500, "generation_failed", "server_error")


def test_one_that_takes_too_long_says_where_it_will_be(client, complete, alice, waiting, monkeypatch):
    waiting(lambda *_, **__: False)
    monkeypatch.setattr("training_app.api.openai_shaped.views._WAIT_SECONDS", 0.0)
    error = error_of(complete)
    assert (error.status_code, error.code) == (504, "not_answered_yet")
    assert f"/api/v1/generations/{Generation.objects.get().pk}" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.APIError, match="longer"):
        list(client.chat.completions.create(**ASKED, stream=True))


# --- whose, and of what task


def test_the_task_is_the_only_one_that_the_user_has_documents_of(complete, alice):
    complete()
    assert Generation.objects.get().task == "LaMP-7"


def test_with_documents_of_several_tasks_it_must_be_named(complete, alice):
    give(alice, [{"text": "a", "title": "b"}], task="LaMP-6")
    error = error_of(complete)
    assert (error.status_code, error.param) == (400, "task")
    assert "LaMP-6, LaMP-7" in error.message
    assert complete(extra_body={"task": "LaMP-7"}).lamppost["task"] == "LaMP-7"


def test_without_documents_it_must_be_named_and_the_base_model_answers(complete, workspace):
    ensure_end_user(workspace=workspace, external_id="carol")
    assert error_of(complete, user="carol").param == "task"
    answer = complete(user="carol", extra_body={"task": "LaMP-7"})
    assert answer.lamppost["method"] == "none"
    assert answer.lamppost["reason"]


@pytest.mark.parametrize("user", ["nobody", "mallory"])
def test_a_user_of_nobody_or_of_another_workspace_is_not_found(complete, mallory, user):
    error = error_of(complete, user=user)
    assert (error.status_code, error.code, error.param) == (404, "not_found", "user")


def test_a_user_must_be_named(complete, alice):
    error = error_of(complete, user=openai.omit)
    assert (error.status_code, error.param) == (400, "user")


def test_without_an_adapter_peft_says_what_to_do(complete, alice):
    error = error_of(complete, extra_body={"method": "peft"})
    assert (type(error), error.code) == (openai.ConflictError, "no_adapter")
    assert "POST /api/v1/adapters" in error.message
    assert error.response.headers["x-should-retry"] == "false"


# --- what is not taken


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"temperature": 0.7}, "temperature"),
        ({"top_p": 0.9}, "top_p"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"stop": ["."]}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"store": True}, "store"),
        ({"max_tokens": 513}, "max_tokens"),
        ({"max_tokens": "6"}, "max_tokens"),
        ({"max_completion_tokens": 7}, None),
        ({"extra_body": {"method": "magic"}}, "method"),
        ({"extra_body": {"method": "none", "k": 2}}, "k"),
        ({"extra_body": {"retriever": "google"}}, "retriever"),
        ({"extra_body": {"task": "LaMP-99"}}, "task"),
        ({"extra_body": {"top_k": 5}}, "top_k"),
        ({"extra_body": {"num_beams": 0}}, "num_beams"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "Be brief."}, *MESSAGES]}, "messages[0].role"),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "Yes"}]}, "messages[1].role"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}, *MESSAGES]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
    ],
)  # fmt: skip
def test_what_would_change_nothing_or_cannot_be_is_refused_by_its_name(complete, alice, changed, param):
    error = error_of(complete, **changed)
    assert (type(error), error.type, error.param) == (openai.BadRequestError, "invalid_request_error", param)
    assert error.message.endswith(".")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [({"temperature": 0.7}, "or send 1 or 0."), ({"store": True}, "or send false."), ({"stop": "."}, "Leave it out.")],
)
def test_a_refused_value_is_told_which_ones_may_stand_there(complete, alice, changed, remedy):
    assert error_of(complete, **changed).message.endswith(remedy)


def test_an_input_that_is_not_written_as_the_task_writes_it_is_told_how(complete, alice):
    error = error_of(complete, messages=[{"role": "user", "content": "roses"}], extra_body={"method": "rag"})
    assert error.param == "messages"
    assert "Paraphrase the following tweet without any explanation before or after it: {text}" in error.message


def test_what_changes_nothing_is_taken(complete, alice):
    complete(
        temperature=0,
        top_p=1,
        n=1,
        stop=None,
        logprobs=False,
        seed=7,
        tools=[],
        response_format={"type": "text"},
        store=False,
        metadata={"a": "b"},
        service_tier="auto",
        safety_identifier="x",
        parallel_tool_calls=False,
    )
    assert Generation.objects.get().seed == 7


@pytest.mark.parametrize(
    ("changed", "param"),
    [({"prompt": [1, 2]}, "prompt"), ({"prompt": ["a", "b"]}, "prompt"), ({"echo": True}, "echo"),
     ({"best_of": 2}, "best_of"), ({"suffix": "."}, "suffix"), ({"logprobs": 1}, "logprobs")],
)  # fmt: skip
def test_a_completion_is_one_text_for_one_text(client, alice, changed, param):
    error = error_of(client.completions.create, **{"model": "small", "user": "alice", "prompt": TEXT, **changed})
    assert (error.status_code, error.param) == (400, param)


# --- the door itself


def test_without_a_key_nobody_comes_in(alice):
    error = error_of(openai_client("lp_no").chat.completions.create, **ASKED)
    assert (type(error), error.code) == (openai.AuthenticationError, "invalid_api_key")


def test_a_key_needs_the_scope(api_key, alice):
    client = openai_client(api_key(scopes=["read"]).token)
    assert type(error_of(client.chat.completions.create, **ASKED)) is openai.PermissionDeniedError
    assert type(error_of(lambda: client.models.list())) is openai.PermissionDeniedError


def test_too_many_requests_are_told_when_to_come_again(api_key, alice):
    client = openai_client(api_key(requests_per_minute=1).token)
    client.models.list()
    error = error_of(lambda: client.models.list())
    assert (type(error), error.code) == (openai.RateLimitError, "rate_limit_exceeded")
    assert int(error.response.headers["retry-after"]) > 0
    assert "x-should-retry" not in error.response.headers


def test_a_reused_idempotency_key_is_refused(complete, alice):
    complete(extra_headers={"Idempotency-Key": "k"})
    error = error_of(complete, max_tokens=5, extra_headers={"Idempotency-Key": "k"})
    assert type(error) is openai.UnprocessableEntityError


def test_before_any_model_is_loaded_the_client_tries_again_by_itself(api, alice, settings):
    settings.DEFAULT_BASE_MODEL = "another/t5"
    response = api.post(CHAT, {**ASKED, "model": "another/t5"}, format="json")
    assert (response.status_code, response["Retry-After"]) == (409, "5")
    assert "x-should-retry" not in response


def test_what_else_that_api_has_is_not_here_and_says_so(client):
    error = error_of(client.embeddings.create, model="small", input="x")
    assert (type(error), error.code) == (openai.NotFoundError, "unknown_url")


@pytest.mark.parametrize(("body", "status"), [("{", 400), ("[]", 400), ("null", 400), ('{"a": 1e999}', 400)])
def test_whatever_is_sent_the_error_has_the_same_shape(api, db, body, status):
    response = api.post(CHAT, body, content_type="application/json")
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response["Content-Type"] == "application/json"


def test_another_content_type_or_method_is_refused_in_the_same_shape(api, db):
    for response in (api.post(CHAT, "x", content_type="text/plain"), api.get(CHAT)):
        assert response.status_code in (405, 415)
        assert json.loads(response.content)["error"]["message"]


def test_a_stream_for_which_there_is_no_room_is_refused_before_anything_is_recorded(api, alice, monkeypatch):
    monkeypatch.setattr("training_app.api.openai_shaped.views.EVENT_STREAMS", Places(0, busy="No room."))
    error = api.post(CHAT, {**ASKED, "stream": True}).json()["error"]
    assert error["code"] == "busy"
    assert not Generation.objects.exists()
