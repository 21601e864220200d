import threading

import pytest
import torch

from common.objects import get_store
from jobs.models import Job
from lamp.catalogue import get_task
from lamp.queries import query_of
from retrieval_app.models import Embedding
from retrieval_app.prompts import build_prompt
from retrieval_app.services import request_embeddings, retrieve
from tests.eval_app.stored import small_encoder, small_t5
from tests.people import TWEETS, person, tweets_of
from tests.workers.asked import TAUGHT, ask, ask_for_adapter
from training_app.adapters import adapters_by_identity, withdraw_adapter
from training_app.models import Adapter, Generation
from workers import adapter_cache, generating, loaded
from workers.adapter_cache import download_adapter

EXACT = {"exact": True}


@pytest.fixture
def answer(in_process):
    """Answer what waits; the generation as it stands then."""

    def answer(generation=None):
        in_process("generate")
        return None if generation is None else Generation.objects.get(pk=generation.pk)

    return answer


@pytest.fixture
def adapters(alice, bob, in_process):
    """An adapter each, trained enough to be told apart."""
    wanted = {user: ask_for_adapter(user, **TAUGHT) for user in (alice, bob)}
    in_process("train_adapter")
    return {user: Adapter.objects.get(identity=identity) for user, identity in wanted.items()}


def job_of(generation):
    return Job.objects.get(kind="generate", payload__generation_id=generation.pk)


def test_without_a_retriever_the_input_is_the_prompt(alice, answer):
    done = answer(ask(alice))
    assert done.prompt == done.input
    assert (done.retrieved_document_ids, done.retrieved_scores) == ([], [])
    assert done.output is not None
    assert done.finished_at is not None


def test_what_it_cost_is_recorded(alice, answer):
    done = answer(ask(alice))
    tokens = loaded.base_model(small_t5(), dtype="float32").tokenizer.encode(done.prompt)
    assert done.input_tokens == len(tokens)
    assert 1 <= done.output_tokens <= 5
    assert (done.retrieval_ms, done.adapter_ms) == (0.0, 0.0)
    assert done.model_ms > 0


@pytest.mark.parametrize("retriever", ["bm25", "recency"])
def test_with_a_retriever_the_prompt_is_made_of_the_users_best_documents(alice, answer, retriever):
    done = answer(ask(alice, retriever=retriever))
    task = get_task(TWEETS)
    best = retrieve(
        workspace=alice.workspace,
        end_user=alice,
        task=TWEETS,
        documents=tweets_of(alice),
        retriever=retriever,
        query=query_of(task, done.input),
        count=2,
    )
    assert done.retrieved_document_ids == [one.document.pk for one in best]
    assert done.retrieved_scores == [one.score for one in best]
    tokenizer = loaded.base_model(small_t5(), dtype="float32").tokenizer
    fields = [one.document.fields for one in best]
    assert done.prompt == build_prompt(task, done.input, fields, tokenizer=tokenizer, max_input_tokens=128)


def test_dense_retrieval_reads_the_vectors_of_its_encoder(alice, answer, in_process):
    encoder = small_encoder()
    request_embeddings(workspace=alice.workspace, task=TWEETS, encoder=encoder, end_users=[(alice.pk, 5)], origin="")
    in_process("embed_documents")
    done = answer(ask(alice, retriever="contriever", encoder=encoder))
    assert len(done.retrieved_document_ids) == 2
    assert done.retrieved_scores == sorted(done.retrieved_scores, reverse=True)


def test_dense_retrieval_of_documents_that_came_a_moment_ago_embeds_them_first(alice, answer, in_process):
    encoder = small_encoder()
    at_once = answer(ask(alice, retriever="contriever", encoder=encoder))
    assert len(at_once.retrieved_document_ids) == 2
    assert Embedding.objects.filter(end_user=alice, encoder=encoder).count() == 5
    again = answer(ask(alice, retriever="contriever", encoder=encoder))
    assert again.retrieved_scores == at_once.retrieved_scores


def test_a_preview_ends_with_the_prompt_that_the_answer_would_have(alice, answer):
    preview = answer(ask(alice, retriever="bm25", kind="preview"))
    done = answer(ask(alice, retriever="bm25"))
    assert (preview.state, preview.output, preview.output_tokens) == ("done", None, None)
    for name in ("prompt", "retrieved_document_ids", "retrieved_scores", "input_tokens"):
        assert getattr(preview, name) == getattr(done, name)


def test_a_client_is_answered_from_what_is_left_of_the_profile(alice, answer):
    first, *rest = tweets_of(alice)
    generation = ask(alice, retriever="recency", asked_method="rag", documents_wanted=5)
    first.delete()
    done = answer(generation)
    assert set(done.retrieved_document_ids) == {document.pk for document in rest}


def test_an_answer_to_what_was_erased_meanwhile_is_not_kept(alice, answer, monkeypatch):
    generation = ask(alice)
    finish = generating._finish

    def erased_just_before(batch):
        Generation.objects.all().delete()
        finish(batch)

    monkeypatch.setattr(generating, "_finish", erased_just_before)
    answer()
    assert not Generation.objects.exists()
    assert Job.objects.get(payload__generation_id=generation.pk).state == "done"


def test_a_user_without_documents_is_asked_as_without_a_retriever(workspace, answer):
    done = answer(ask(person(workspace, "newcomer"), retriever="bm25"))
    assert done.prompt == done.input


def test_an_adapter_changes_its_own_users_answer(alice, bob, adapters, answer):
    plain, hers, his = ask(alice), ask(alice, adapter=adapters[alice]), ask(bob, adapter=adapters[bob])
    answer()
    outputs = [Generation.objects.get(pk=one.pk).output for one in (plain, hers, his)]
    assert len(set(outputs)) == 3


def test_many_users_share_a_pass_and_each_is_answered_as_alone(alice, bob, adapters, answer):
    asked = [
        {"end_user": alice},
        {"end_user": alice, "adapter": adapters[alice]},
        {"end_user": bob, "adapter": adapters[bob]},
        {"end_user": bob, "adapter": adapters[bob], "retriever": "bm25"},
        {"end_user": alice, "retriever": "recency"},
    ]
    together = [ask(**fields) for fields in asked]
    answer()
    alone = [answer(ask(**fields, parameters=EXACT)) for fields in asked]
    together = [Generation.objects.get(pk=one.pk) for one in together]
    assert [one.output for one in together] == [one.output for one in alone]
    assert [one.sequence_score for one in together] == pytest.approx([one.sequence_score for one in alone], abs=1e-5)


def test_one_that_cannot_be_answered_spoils_no_other(alice, bob, answer):
    bad = ask(alice, profile_document_ids=[10**9], retriever="bm25")
    good = ask(bob, retriever="bm25")
    answer()
    assert job_of(bad).state == "failed"
    assert job_of(good).state == "done"


def test_answers_that_cannot_be_recorded_together_are_recorded_one_by_one(alice, bob, adapters, answer, monkeypatch):
    hers, his = ask(alice, adapter=adapters[alice]), ask(bob, adapter=adapters[bob])
    real = generating.record_answers

    def withdrawn_meanwhile(answers):
        Adapter.objects.filter(pk=adapters[alice].pk).update(withdrawn_at="2026-01-01T00:00:00Z")
        real(answers)

    monkeypatch.setattr(generating, "record_answers", withdrawn_meanwhile)
    answer()
    assert job_of(hers).state == "failed"
    assert Generation.objects.get(pk=hers.pk).output is None
    assert job_of(his).state == "done"
    assert Generation.objects.get(pk=his.pk).output is not None


def test_another_users_document_is_never_read(alice, bob, answer):
    stolen = ask(alice, profile_document_ids=[tweets_of(bob)[0].pk], retriever="bm25")
    assert answer(stolen).prompt is None
    assert job_of(stolen).error_message.endswith(f"is not one of end user {alice.pk} for LaMP-7.")


def test_one_that_has_gone_is_done_with(alice, answer):
    generation = ask(alice)
    job = job_of(generation)
    generation.delete()
    answer()
    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"answered": False})


def test_an_adapter_whose_files_were_changed_is_not_used(every_s3_server, alice, in_process, answer):
    identity = ask_for_adapter(alice)
    in_process("train_adapter")
    adapter = Adapter.objects.get(identity=identity)
    key = adapter.object_prefix + "adapter_config.json"
    config = get_store().get_bytes(key, max_bytes=100_000)
    get_store().put_bytes(key, config.replace(b'"lora_alpha": 32', b'"lora_alpha": 64'))
    generation = answer(ask(alice, adapter=adapter))
    assert generation.output is None
    assert job_of(generation).attempts == 1
    assert "is not what was trained: its digest differs" in job_of(generation).error_message


@pytest.mark.parametrize("harm", ["changed", "lost"])
def test_a_harmed_adapter_is_withdrawn_so_that_it_is_trained_anew(every_s3_server, alice, in_process, answer, harm):
    identity = ask_for_adapter(alice)
    in_process("train_adapter")
    harmed = Adapter.objects.get(identity=identity)
    key = harmed.object_prefix + "adapter_model.safetensors"
    if harm == "changed":
        get_store().put_bytes(key, b"x")
    else:
        get_store().delete(key)
    assert answer(ask(alice, adapter=harmed)).output is None
    assert adapters_by_identity(workspace=alice.workspace, identities=[identity]) == {}
    ask_for_adapter(alice)
    in_process("train_adapter")
    anew = Adapter.objects.get(identity=identity, withdrawn_at=None)
    assert (anew.content_digest, anew.pk != harmed.pk) == (harmed.content_digest, True)
    assert answer(ask(alice, adapter=anew)).output is not None


def test_a_harmed_adapter_fails_its_own_users_jobs_only(alice, bob, adapters, answer):
    get_store().delete(adapters[alice].object_prefix + "adapter_model.safetensors")
    lost = [ask(alice, adapter=adapters[alice]), ask(alice, "tea at noon", adapter=adapters[alice])]
    others = [ask(bob, adapter=adapters[bob]), ask(alice)]
    answer()
    assert [job_of(one).state for one in lost] == ["failed", "failed"]
    assert [job_of(one).state for one in others] == ["done", "done"]


def test_two_versions_of_a_users_adapter_are_never_taken_for_each_other(alice, in_process, answer):
    identities = [ask_for_adapter(alice, **TAUGHT | {"learning_rate": rate}) for rate in (3e-2, 1e-2)]
    in_process("train_adapter")
    versions = [Adapter.objects.get(identity=identity) for identity in identities]
    alone = [answer(ask(alice, adapter=version, parameters=EXACT)).output for version in versions]
    assert len(set(alone)) == 2
    for _ in range(2):
        for version, output in zip(versions, alone, strict=True):
            assert answer(ask(alice, adapter=version)).output == output


def test_a_withdrawn_adapter_is_not_served_from_memory(alice, adapters, answer):
    assert answer(ask(alice, adapter=adapters[alice])).output is not None
    withdraw_adapter(adapter=adapters[alice])
    generation = answer(ask(alice, adapter=adapters[alice]))
    assert generation.output is None
    assert (job_of(generation).state, job_of(generation).attempts) == ("failed", 1)
    assert "was withdrawn" in job_of(generation).error_message


def test_adapters_come_beside_the_work_of_the_handler(alice, bob, adapters, answer, monkeypatch):
    loaders = []

    def download(adapter, *, folder):
        loaders.append(threading.current_thread().name)
        download_adapter(adapter, folder=folder)

    monkeypatch.setattr(adapter_cache, "download_adapter", download)
    asked = [ask(user, adapter=adapters[user]) for user in (alice, bob)]
    answer()
    assert all(job_of(one).state == "done" for one in asked)
    assert [name.rpartition("_")[0] for name in loaders] == ["adapters", "adapters"]


def test_what_waits_in_memory_is_as_it_is_stored(alice, adapters):
    adapter = adapters[alice]
    cache = adapter_cache.AdapterCache(max_bytes=2**20)
    base = loaded.base_model(adapter.base_model, dtype="float32")
    with cache.source(adapter, base=base).held() as packed:
        assert {part.dtype for part in packed.parts} == {getattr(torch, adapter.stored_dtype)}
        assert cache.snapshot().bytes_held == packed.nbytes
        assert packed.nbytes < adapter.size_bytes
