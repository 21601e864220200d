"""`manage.py estimate_cost` on stored splits."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from eval_app.models import Question
from jobs.models import Job
from lamp.catalogue import get_task
from lamp.pairs import pair_of
from tests.people import Asked, person, questions_of, split_of, tweets_of, workspace
from training_app.models import Adapter, BaseModel
from workers.cost_estimates import ModelTokens, WordTokens, shape_of, token_counter
from workers.engine.batches import tokenize_pairs
from workers.loaded import base_model, record_base_model


@pytest.fixture
def estimate(capsys, tmp_path):
    """Run the command on a split; the report as JSON and what was printed."""

    def estimate(split, *more):
        path = tmp_path / "estimate.json"
        named = ("--dataset", split.dataset.name, "--split", split.split, "--workspace", split.dataset.workspace.slug)
        call_command("estimate_cost", *named, "--json", path, *more)
        return json.loads(path.read_text()), capsys.readouterr().out

    return estimate


def refused(*arguments) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("estimate_cost", *arguments)
    assert caught.value.returncode == 2
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_it_counts_what_the_engine_would_train_on(dev, alice, bob, estimate):
    told, _ = estimate(dev, "--epochs", "7", "--base-model", "small")
    base = base_model(record_base_model("small", dtype="float32"), dtype="float32")
    # Alice's two questions share three of her documents.
    taught = [*tweets_of(alice)[1:4], *tweets_of(bob)]
    pairs = tokenize_pairs(
        base.tokenizer,
        [pair_of(get_task("LaMP-7"), document.fields) for document in taught],
        max_input_tokens=512,
        max_output_tokens=128,
    )
    [row] = told["rows"]
    assert row["tokens"] == 7 * sum(len(pair.source) + len(pair.target) for pair in pairs)
    assert (row["adapters"], row["steps"]) == (2, 14)


def test_it_prints_a_row_for_each_rank_and_the_formulas(dev, estimate):
    told, shown = estimate(dev, "--ranks", "8,16", "--gpu", "H200")
    assert [row["rank"] for row in told["totals"]] == [8, 16, None]
    assert "GPU hours = FLOP / (989 TFLOP/s" in shown
    assert "a million such users" in shown


def test_the_papers_model_needs_no_download(dev, estimate):
    # At a revision that no machine has.
    told, shown = estimate(dev, "--base-model", "google/flan-t5-xxl@none")
    assert told["parameters"] == 11_135_332_352
    assert "1.4 a word between blanks, as the tokenizer of google/flan-t5-xxl is not on this machine" in shown.replace(
        "\n", " "
    )


def test_another_tokenizer_may_count_for_it(dev, estimate):
    told, _ = estimate(dev, "--base-model", "google/flan-t5-xxl", "--tokenizer", "small")
    own, _ = estimate(dev, "--base-model", "small")
    assert told["rows"][0]["tokens"] == own["rows"][0]["tokens"]
    assert told["lengths"] == "counted by the tokenizer of small"


def test_lengths_are_cut(dev, estimate):
    told, _ = estimate(dev, "--epochs", "1", "--max-input-tokens", "4", "--max-output-tokens", "3")
    assert told["rows"][0]["tokens"] == 7 * (4 + 3)


def test_nothing_is_written(dev, estimate):
    estimate(dev)
    assert [model.objects.count() for model in (Job, Adapter, BaseModel)] == [0, 0, 0]


def test_only_the_first_users_where_so_many_are_asked_for(dev, estimate):
    told, _ = estimate(dev, "--users", "1")
    assert told["totals"][0]["adapters"] == 1


def test_who_has_nothing_to_learn_from_has_no_adapter(alice, estimate):
    first, second, *_ = tweets_of(alice)
    told, _ = estimate(split_of([Asked(alice, "a: b", "c", [first]), Asked(alice, "a: d", "e", [second])]))
    assert told["totals"][0]["adapters"] == 0


def test_a_repeated_document_counts_as_often_as_it_is_learned_from(alice, estimate):
    document = tweets_of(alice)[0]
    once, _ = estimate(split_of([Asked(alice, "a: b", "c", [document])], split="dev"))
    twice, _ = estimate(split_of([Asked(alice, "a: b", "c", [document] * 2)], split="test"))
    assert twice["rows"][0]["tokens"] == 2 * once["rows"][0]["tokens"]


class TestWalls:
    def test_a_strangers_document_in_a_snapshot_is_not_counted(self, dev, alice, mallory, estimate):
        before, _ = estimate(dev)
        for question in Question.objects.filter(end_user=alice):
            question.document_ids += [document.pk for document in tweets_of(mallory)]
            question.entry_ids += ["x"] * len(tweets_of(mallory))
            question.save()
        after, _ = estimate(dev)
        assert after["rows"] == before["rows"]

    def test_a_dataset_of_another_workspace_does_not_exist(self, dev, mallory):
        message = refused("--workspace", mallory.workspace.slug, "--dataset", dev.dataset.name)
        assert message.startswith("There is no dataset “tweets” in workspace “elsewhere”.")

    def test_which_workspace_is_asked_where_there_are_several(self, dev, mallory):
        message = refused("--dataset", dev.dataset.name)
        assert message == "There are several workspaces; name one: acme, elsewhere."

    def test_the_only_workspace_need_not_be_named(self, dev, capsys):
        call_command("estimate_cost", "--dataset", dev.dataset.name)
        assert "a million such users" in capsys.readouterr().out


class TestRefused:
    def test_an_unknown_dataset(self, dev):
        assert refused("--dataset", "other") == ("There is no dataset “other” in workspace “acme”. There are: tweets.")

    def test_an_unknown_split(self, dev):
        assert refused("--dataset", "tweets", "--split", "test") == (
            "Dataset “tweets” has no split “test”. It has: dev."
        )

    def test_a_task_that_the_split_lacks(self, dev):
        message = refused("--dataset", "tweets", "--tasks", "LaMP-4")
        assert message == "Dataset “tweets” has no dev split of LaMP-4. It has: LaMP-7."

    def test_an_unknown_gpu(self, dev):
        message = refused("--dataset", "tweets", "--gpu", "tpu")
        assert message.startswith("There is no GPU “tpu” in the table. There are: ")

    @pytest.mark.parametrize("ranks", ["", "0", "8,", "8;16", "257", "-8", "eight"])
    def test_a_rank_that_cannot_be_one(self, dev, ranks):
        message = refused("--dataset", "tweets", f"--ranks={ranks}")
        assert message == f"--ranks are whole numbers from 1 to 256, comma-separated, not “{ranks}”."

    @pytest.mark.parametrize(
        "wrong",
        ["--utilization=0", "--pue=0.5", "--carbon-intensity=-1", "--epochs=0", "--users=0", "--tokens-per-word=nan"],
    )
    def test_a_number_that_nothing_can_be_estimated_with(self, dev, wrong):
        refused("--dataset", "tweets", wrong)

    def test_a_base_model_that_is_nowhere(self, dev, tmp_path):
        assert str(tmp_path) in refused("--dataset", "tweets", "--base-model", str(tmp_path))

    def test_a_folder_for_the_file(self, dev, tmp_path):
        assert refused("--dataset", "tweets", "--json", str(tmp_path)).startswith("--json names a file to write")

    def test_an_installation_without_workspaces(self, db):
        assert refused("--dataset", "tweets").startswith("There is no workspace yet.")


def test_another_family_has_no_shape_here(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match="It is a llama model"):
        shape_of(str(tmp_path))


def test_a_model_on_this_machine_counts_for_itself():
    counter = token_counter(base_model="small", tokenizer=None, tokens_per_word=1.4)
    assert isinstance(counter, ModelTokens)
    assert counter.lengths(["", "a film"], limit=2) == [1, 2]


def test_words_are_counted_with_the_end_token_and_cut():
    counter = WordTokens(1.5, "a model elsewhere")
    assert counter.lengths(["", "one", "one two three four"], limit=5) == [1, 3, 5]


def test_users_of_two_tasks_are_counted_apart(alice, bob, estimate):
    tweets = split_of(questions_of(alice, bob))
    headlines = person(workspace("acme"), "carol", [{"text": "a b c", "title": "d", "date": "2020"}], task="LaMP-4")
    asked = [
        Asked(headlines, "Generate a headline for the following article: e", "f", tweets_of(headlines, task="LaMP-4"))
    ]
    split_of(asked, task="LaMP-4")
    told, shown = estimate(tweets)
    assert [(row["task"], row["adapters"]) for row in told["rows"]] == [("LaMP-4", 1), ("LaMP-7", 2)]
    assert "all tasks" in shown
