"""A task of a workspace's own goes the whole way: documents, retrieval, prompts, training, generation.

Whatever was asked of one version is answered by that version, whichever is in force by then.
"""

import pytest

from jobs.models import Job
from lamp.pairs import pair_of
from lamp.task_definitions import own_task_from
from retrieval_app.prompts import build_prompt
from retrieval_app.services import request_embeddings, retrieve
from tests.eval_app.stored import HYPERPARAMETERS, small_encoder, small_t5
from tests.lamp.own_tasks import MOODS, REPLIES, changed
from tests.people import give, person, tweets_of
from tests.workers.asked import TAUGHT, ask
from training_app.adapters import plan_adapter, request_adapters
from training_app.models import Adapter, Generation
from users_app.tasks import define_task, task_of
from workers import adapter_orders, loaded

KEY = "replies"
LATER = changed(
    changed(REPLIES, "/prompt/template", "{input} (as in {entries})"), "/pair/input", "Answer this question: {question}"
)
OF_CAROL = [
    {"question": "where is my parcel with the red tulips", "reply": "it left on monday and the post has it now"},
    {"question": "why are the roses brown", "reply": "the frost was here and we send new roses today"},
    {"question": "can i pay for the bees by card", "reply": "cards are fine and so is cash at the gate"},
]
QUESTION = "where are my red roses"


@pytest.fixture
def carol(workspace):
    """Somebody whose replies are kept, for the workspace's own task."""
    define_task(workspace=workspace, definition=REPLIES)
    return person(workspace, "carol", OF_CAROL, task=KEY)


def documents_of(end_user):
    return tweets_of(end_user, task=KEY)


def plan(end_user, **changed_parameters):
    return plan_adapter(
        workspace=end_user.workspace,
        end_user_id=end_user.pk,
        task=KEY,
        base_model=small_t5(),
        dtype="float32",
        exact=True,
        stored_dtype="float32",
        hyperparameters={**HYPERPARAMETERS, **TAUGHT, **changed_parameters},
        seed=0,
        documents=[(document.pk, bytes(document.digest).hex()) for document in documents_of(end_user)],
    )


def ask_of(end_user, **fields):
    """Ask with the version in force, in exact mode; the stored generation."""
    task = task_of(workspace=end_user.workspace, key=KEY)
    return ask(
        end_user,
        task=KEY,
        task_version=task.version,
        input=task.input.fill({"question": QUESTION}),
        profile_document_ids=[document.pk for document in documents_of(end_user)],
        parameters={"exact": True, "max_output_tokens": 12},
        **fields,
    )


def prompt_of(generation, definition):
    """The prompt that `definition` makes of what was retrieved."""
    documents = {document.pk: document.fields for document in documents_of(generation.end_user)}
    return build_prompt(
        own_task_from(definition),
        generation.input,
        [documents[document_id] for document_id in generation.retrieved_document_ids],
        tokenizer=loaded.base_model(small_t5(), dtype="float32").tokenizer,
        max_input_tokens=128,
    )


def best_of(end_user):
    """The user's documents, best first, as retrieval by the task's own query finds them."""
    found = retrieve(
        workspace=end_user.workspace,
        end_user=end_user,
        task=KEY,
        documents=documents_of(end_user),
        retriever="bm25",
        query=QUESTION,
        count=2,
    )
    return [one.document.pk for one in found]


def test_retrieval_and_prompt_are_the_tasks_own(carol, in_process):
    asked = ask_of(carol, retriever="bm25")
    in_process("generate")
    done = Generation.objects.get(pk=asked.pk)
    assert done.retrieved_document_ids == best_of(carol)
    assert done.prompt == prompt_of(done, REPLIES)
    assert 'to "why are the roses brown" the reply was "the frost was here and we send new roses today"' in done.prompt
    assert done.prompt.endswith(f". Write as before. {done.input}")
    assert done.output


def test_dense_retrieval_reads_the_tasks_own_texts(carol, in_process):
    encoder = small_encoder()
    request_embeddings(workspace=carol.workspace, task=KEY, encoder=encoder, end_users=[(carol.pk, 3)], origin="")
    in_process("embed_documents")
    asked = ask_of(carol, retriever="contriever", encoder=encoder)
    in_process("generate")
    assert len(Generation.objects.get(pk=asked.pk).retrieved_document_ids) == 2


def test_an_adapter_learns_the_tasks_own_pairs_and_answers(carol, in_process):
    wanted = plan(carol)
    request_adapters(plans=[wanted])
    in_process("train_adapter")
    adapter = Adapter.objects.get(identity=wanted.identity)
    assert (adapter.task, adapter.task_version) == (KEY, own_task_from(REPLIES).version)
    plain, personal = ask_of(carol), ask_of(carol, adapter=adapter, retriever="bm25")
    again = ask_of(carol, adapter=adapter, retriever="bm25")
    in_process("generate")
    outputs = [Generation.objects.get(pk=one.pk).output for one in (plain, personal, again)]
    assert all(outputs)
    assert outputs[0] != outputs[1] == outputs[2]


def test_a_question_is_answered_by_the_version_it_was_asked_of(carol, in_process):
    before = ask_of(carol, retriever="bm25")
    define_task(workspace=carol.workspace, definition=LATER)
    after = ask_of(carol, retriever="bm25")
    in_process("generate")
    before, after = (Generation.objects.get(pk=one.pk) for one in (before, after))
    assert before.retrieved_document_ids == after.retrieved_document_ids
    assert before.prompt == prompt_of(before, REPLIES)
    assert after.prompt == prompt_of(after, LATER)
    assert before.prompt != after.prompt


def test_an_adapter_is_trained_for_the_version_it_was_asked_of(carol, in_process, monkeypatch):
    trained = {}
    order_of = adapter_orders.order_of

    def noted(job, **told):
        order = order_of(job, **told)
        trained[order.plan.identity] = order.request.pairs
        return order

    monkeypatch.setattr("workers.training.order_of", noted)
    before = plan(carol, epochs=1)
    request_adapters(plans=[before])
    define_task(workspace=carol.workspace, definition=LATER)
    after = plan(carol, epochs=1)
    request_adapters(plans=[after])
    in_process("train_adapter")
    assert before.identity != after.identity
    for wanted, definition in ((before, REPLIES), (after, LATER)):
        task = own_task_from(definition)
        assert Adapter.objects.get(identity=wanted.identity).task_version == task.version
        assert trained[wanted.identity] == [pair_of(task, fields) for fields in OF_CAROL]


def test_a_version_that_is_gone_fails_its_question_for_good(carol, in_process):
    asked = ask_of(carol, retriever="bm25")
    Generation.objects.filter(pk=asked.pk).update(task_version="0" * 64)
    in_process("generate")
    job = Job.objects.get(kind="generate", payload__generation_id=asked.pk)
    assert (job.state, job.attempts) == ("failed", 1)
    assert "task catalogue" in job.error_message


def test_another_workspaces_task_of_the_same_key_changes_nothing(carol, mallory, in_process):
    define_task(workspace=mallory.workspace, definition={**MOODS, "key": KEY})
    give(mallory, [{"page": "a red rose for me", "mood": "calm"}], task=KEY)
    asked = ask_of(carol, retriever="bm25")
    in_process("generate")
    assert Generation.objects.get(pk=asked.pk).prompt == prompt_of(Generation.objects.get(pk=asked.pk), REPLIES)
