"""Answers whose retriever a selector chooses: by the prompts (Pre), or by what was generated from them (Post)."""

import pytest

from common.objects import get_store
from jobs.models import Job
from retrieval_app.models import Embedding
from retrieval_app.selection import POST, PRE, selector_text
from tests.eval_app.stored import small_encoder
from tests.people import give, person
from tests.workers.asked import TAUGHT, ask, ask_for_adapter
from tests.workers.trained import POOL, a_fine_tuned_encoder, a_selector
from training_app.models import Adapter, Generation
from workers import loaded
from workers.engine.generation import Generator
from workers.engine.selector import score


@pytest.fixture(autouse=True)
def here(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def answer(in_process):
    """Answer what waits; the generation as it stands then."""

    def answer(generation=None):
        in_process("generate")
        return None if generation is None else Generation.objects.get(pk=generation.pk)

    return answer


@pytest.fixture
def generated(monkeypatch):
    """How many prompts each call of the base model was given."""
    counts = []
    answers = Generator.answers

    def counting(self, rows, **settings):
        counts.append(len(rows))
        return answers(self, rows, **settings)

    monkeypatch.setattr(Generator, "answers", counting)
    return counts


def job_of(generation):
    return Job.objects.get(kind="generate", payload__generation_id=generation.pk)


def with_each(end_user, answer, pool=POOL, **fields):
    """What each retriever of the pool gives by itself."""
    asked = [ask(end_user, retriever="" if name == "none" else name, **fields) for name in pool]
    answer()
    return [Generation.objects.get(pk=one.pk) for one in asked]


def scores_of(record, answers, *, reads):
    texts = [selector_text(reads=reads, prompt=one.prompt, output=one.output) for one in answers]
    return score(loaded.selector(record), texts).tolist()


# Either sign of the head: one of the two chooses what is not the first of the pool.
@pytest.mark.parametrize("scale", [50.0, -50.0])
class TestPre:
    def test_the_candidate_with_the_highest_score_is_answered_as_its_retriever_alone_would(
        self, workspace, alice, answer, generated, scale
    ):
        record = a_selector(workspace, scale=scale)
        done = answer(ask(alice, retriever="rspg-pre", selector=record))
        assert generated == [1]
        alone = with_each(alice, answer)
        scores = scores_of(record, alone, reads=PRE)
        assert done.candidate_scores == pytest.approx(scores)
        assert len(set(scores)) == 3
        chosen = scores.index(max(scores))
        assert done.chosen_retriever == POOL[chosen]
        for name in ("prompt", "output", "retrieved_document_ids", "retrieved_scores", "input_tokens"):
            assert getattr(done, name) == getattr(alone[chosen], name)
        assert done.retrieval_ms > 0

    def test_a_preview_ends_with_the_prompt_that_the_answer_would_have(self, workspace, alice, answer, scale):
        record = a_selector(workspace, scale=scale)
        preview = answer(ask(alice, retriever="rspg-pre", selector=record, kind="preview"))
        done = answer(ask(alice, retriever="rspg-pre", selector=record))
        assert (preview.state, preview.output) == ("done", None)
        for name in ("prompt", "retrieved_document_ids", "chosen_retriever", "candidate_scores"):
            assert getattr(preview, name) == getattr(done, name)


@pytest.mark.parametrize("scale", [50.0, -50.0])
class TestPost:
    def test_every_candidate_of_every_row_is_generated_in_one_batch_and_the_best_is_kept(
        self, workspace, alice, bob, answer, generated, scale
    ):
        record = a_selector(workspace, "rspg-post", scale=scale)
        asked = [ask(user, retriever="rspg-post", selector=record) for user in (alice, bob)]
        answer()
        assert generated == [6]
        for user, one in zip((alice, bob), asked, strict=True):
            done = Generation.objects.get(pk=one.pk)
            alone = with_each(user, answer)
            scores = scores_of(record, alone, reads=POST)
            assert done.candidate_scores == pytest.approx(scores)
            chosen = scores.index(max(scores))
            assert done.chosen_retriever == POOL[chosen]
            for name in ("prompt", "output", "retrieved_document_ids", "retrieved_scores"):
                assert getattr(done, name) == getattr(alone[chosen], name)
            assert done.sequence_score == pytest.approx(alone[chosen].sequence_score, abs=1e-5)
            # What the user paid for: all of them.
            assert done.input_tokens == sum(one.input_tokens for one in alone)
            assert done.output_tokens == sum(one.output_tokens for one in alone)

    def test_the_users_own_adapter_answers_every_candidate(self, workspace, alice, answer, in_process, scale):
        identity = ask_for_adapter(alice, **TAUGHT)
        in_process("train_adapter")
        adapter = Adapter.objects.get(identity=identity)
        record = a_selector(workspace, "rspg-post", scale=scale)
        done = answer(ask(alice, retriever="rspg-post", selector=record, adapter=adapter))
        alone = with_each(alice, answer, adapter=adapter)
        scores = scores_of(record, alone, reads=POST)
        assert done.candidate_scores == pytest.approx(scores)
        assert done.output == alone[scores.index(max(scores))].output


def test_equal_prompts_of_a_row_are_generated_once_and_the_first_of_the_pool_is_chosen(workspace, answer, generated):
    record = a_selector(workspace, "rspg-post", "bm25", "none", "recency")
    done = answer(ask(person(workspace, "newcomer"), retriever="rspg-post", selector=record))
    assert generated == [1]
    assert done.prompt == done.input
    assert done.chosen_retriever == "bm25"
    assert len(set(done.candidate_scores)) == 1


def test_a_preview_with_post_is_refused_with_what_to_do(workspace, alice, answer):
    record = a_selector(workspace, "rspg-post")
    preview = answer(ask(alice, retriever="rspg-post", selector=record, kind="preview"))
    assert preview.prompt is None
    assert (job_of(preview).state, job_of(preview).attempts) == ("failed", 1)
    assert "a preview generates nothing" in job_of(preview).error_message


@pytest.mark.parametrize("kind", ["rspg-pre", "rspg-post"])
class TestOthers:
    """What else is in the batch, or of others at all, changes nothing."""

    def test_rows_beside_it_change_no_score_to_the_bit(self, workspace, alice, bob, answer, kind):
        record = a_selector(workspace, kind)
        alone = answer(ask(alice, retriever=kind, selector=record))
        together = ask(alice, retriever=kind, selector=record)
        for user, text in ((bob, "the trail"), (alice, "tea at noon"), (bob, "rain " * 20)):
            ask(user, text, retriever=kind, selector=record)
        ask(bob, retriever="bm25")
        done = answer(together)
        assert done.candidate_scores == alone.candidate_scores
        for name in ("chosen_retriever", "prompt", "output", "retrieved_document_ids"):
            assert getattr(done, name) == getattr(alone, name)

    def test_documents_of_others_change_nothing(self, workspace, alice, bob, answer, kind):
        record = a_selector(workspace, kind)
        before = answer(ask(alice, retriever=kind, selector=record))
        give(bob, [{"text": "roses and rain in my garden", "date": "2021-01-01"}])
        after = answer(ask(alice, retriever=kind, selector=record))
        assert (after.candidate_scores, after.prompt) == (before.candidate_scores, before.prompt)

    def test_one_that_cannot_be_answered_spoils_no_other(self, workspace, alice, bob, answer, kind):
        record = a_selector(workspace, kind)
        bad = ask(alice, retriever=kind, selector=record, profile_document_ids=[10**9])
        good = ask(bob, retriever=kind, selector=record)
        answer()
        assert (job_of(bad).state, job_of(good).state) == ("failed", "done")


class TestPools:
    def test_dense_members_are_retrieved_by_their_own_encoders_embedding_what_is_missing(
        self, workspace, alice, answer
    ):
        encoder = small_encoder()
        fine_tuned = a_fine_tuned_encoder(workspace).encoder
        record = a_selector(workspace, "rspg-post", "contriever", "bm25")
        record.pool.append(
            {"retriever": "ropg-kd", "encoder": fine_tuned.name, "encoder_revision": fine_tuned.revision}
        )
        record.save()
        done = answer(ask(alice, retriever="rspg-post", selector=record))
        assert done.state == "done"
        for one in (encoder, fine_tuned):
            assert Embedding.objects.filter(end_user=alice, encoder=one).count() == 5
        dense = answer(ask(alice, retriever="contriever", encoder=encoder))
        assert done.candidate_scores[0] == pytest.approx(scores_of(record, [dense], reads=POST)[0])
        # The fine-tuned one has learned nothing in this test, so it retrieves the same.
        assert done.candidate_scores[2] == done.candidate_scores[0]

    def test_a_fine_tuned_encoder_retrieves_by_itself_too(self, workspace, alice, answer):
        encoder = a_fine_tuned_encoder(workspace).encoder
        done = answer(ask(alice, retriever="ropg-kd", encoder=encoder))
        assert len(done.retrieved_document_ids) == 2
        assert (done.chosen_retriever, done.candidate_scores) == ("", None)

    def test_recency_among_documents_without_dates_is_refused_as_it_is_alone(self, workspace, answer):
        undated = person(workspace, "dave", [{"text": "no date on this tweet of mine"}])
        asked = [
            ask(undated, retriever="recency"),
            ask(undated, retriever="rspg-pre", selector=a_selector(workspace)),
        ]
        answer()
        alone, chosen = (job_of(one).error_message for one in asked)
        assert alone == chosen
        assert "they can't be ordered by recency" in chosen

    def test_an_encoder_that_is_not_on_record_is_refused(self, workspace, alice, answer):
        record = a_selector(workspace, "rspg-pre", "none", "contriever")
        record.pool[1]["encoder_revision"] = "another"
        record.save()
        generation = answer(ask(alice, retriever="rspg-pre", selector=record))
        assert (job_of(generation).state, job_of(generation).attempts) == ("failed", 1)
        assert "is not recorded here" in job_of(generation).error_message


class TestSelectorsThatCannotBeUsed:
    def test_one_whose_files_were_changed(self, workspace, alice, bob, answer):
        # Another than those that this process holds already.
        record = a_selector(workspace, seed=7)
        key = record.object_prefix + "model.safetensors"
        weights = bytearray(get_store().get_bytes(key, max_bytes=10**8))
        weights[-1] ^= 1
        get_store().put_bytes(key, bytes(weights))
        bad, good = ask(alice, retriever="rspg-pre", selector=record), ask(bob, retriever="bm25")
        answer()
        assert (job_of(bad).state, job_of(bad).attempts) == ("failed", 1)
        assert "is not what was trained: its digest differs" in job_of(bad).error_message
        assert job_of(good).state == "done"

    def test_one_of_another_workspace(self, alice, mallory, answer):
        record = a_selector(mallory.workspace)
        stolen = answer(ask(alice, retriever="rspg-pre", selector=record))
        assert stolen.prompt is None
        assert "is another workspace's" in job_of(stolen).error_message

    def test_one_that_gives_no_numbers(self, workspace, alice, answer, monkeypatch):
        record = a_selector(workspace)
        monkeypatch.setattr("workers.selecting.score", lambda *args, **settings: score(*args) * float("nan"))
        generation = answer(ask(alice, retriever="rspg-pre", selector=record))
        assert "score is not a number" in job_of(generation).error_message
