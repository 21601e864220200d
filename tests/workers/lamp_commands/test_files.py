"""`manage.py lamp rank`, `prompts` and `pairs`: files in, files out, no server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from rank_bm25 import BM25Okapi

from lamp.catalogue import CATALOGUE
from retrieval_app.prompts import build_prompt
from tests.lamp.golden_files import KEYS, golden
from tests.retrieval_app.words import subwords
from workers.small_models import SMALL_ENCODER

ROOT = Path(__file__).resolve().parents[3]

TWEETS = ["so tired today", "lamp posts at night", "night night", "so tired today", "", "HTML &amp; 💡\ttabs"]


def question(texts: list[str], *, question_id: Any = "7", **more: Any) -> dict[str, Any]:
    return {
        "id": question_id,
        "input": "Paraphrase the following tweet without any explanation before or after it: a tired night",
        "profile": [{"id": f"{question_id}{place}", "text": text} for place, text in enumerate(texts)],
        **more,
    }


@pytest.fixture
def questions_file(tmp_path):
    """Writes questions and gives the file's path."""

    def write(questions: Any) -> Path:
        path = tmp_path / "dev_questions.json"
        path.write_text(json.dumps(questions), encoding="utf-8")
        return path

    return write


@pytest.fixture
def lamp(tmp_path):
    """Runs a subcommand and gives what it wrote to `--out`."""

    def run(subcommand: str, *arguments: Any) -> Any:
        out = tmp_path / f"{subcommand}.json"
        call_command("lamp", subcommand, "--out", str(out), *map(str, arguments))
        return json.loads(out.read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    subwords().save_pretrained(folder)
    return folder


def refused(run: Any, *arguments: Any) -> str:
    """The message of a refusal: one line, exit code 2."""
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ranks_hold_all_profile_ids_best_first(lamp, questions_file):
    path = questions_file([question(TWEETS), question([], question_id="8"), question(["one"], question_id="9")])
    ranks = lamp("rank", "--task", "LaMP-7", "--questions", path, "--retriever", "bm25")
    scores = BM25Okapi([text.split() for text in TWEETS]).get_scores(["a", "tired", "night"])
    order = np.argsort(scores, kind="stable")[::-1]
    assert ranks == {"7": [f"7{place}" for place in order], "8": [], "9": ["90"]}


def test_ids_keep_the_type_they_have_in_the_file(lamp, questions_file):
    asked = question(["a", "b"], question_id=7)
    asked["profile"][0]["id"] = 70
    assert lamp("rank", "--questions", questions_file([asked]), "--retriever", "bm25") == {"7": ["71", 70]}


def test_recency_is_newest_first_and_ties_are_later_first(lamp, questions_file):
    asked = question(["a", "b", "c", "d"], user_id=1)
    for entry, date in zip(asked["profile"], ["2010", 2011, "2009-12-31", "2010"], strict=True):
        entry["date"] = date
    ranks = lamp("rank", "--questions", questions_file([asked]), "--retriever", "recency")
    assert ranks == {"7": ["71", "73", "70", "72"]}


def test_recency_without_dates_is_refused_with_the_reason(lamp, questions_file):
    path = questions_file([question(["a", "b"])])
    message = refused(lamp, "rank", "--questions", path, "--retriever", "recency")
    assert "dev_questions.json, question 7" in message
    assert "no date" in message


def test_dense_ranks_tie_repeated_documents(lamp, questions_file):
    path = questions_file([question(["x y", "lamp", "x y", "x y"]), question([], question_id="8")])
    ranks = lamp("rank", "--questions", path, "--retriever", "contriever", "--encoder", SMALL_ENCODER)
    assert [entry_id for entry_id in ranks["7"] if entry_id != "71"] == ["73", "72", "70"]
    assert ranks["8"] == []
    assert ranks == lamp("rank", "--questions", path, "--retriever", "contriever", "--encoder", "small")


@pytest.mark.parametrize("key", KEYS)
def test_golden_pairs(lamp, questions_file, key):
    documents = golden(key)["documents"]
    profile = [{"id": str(place), **document["fields"]} for place, document in enumerate(documents)]
    path = questions_file([{"id": "1", "input": golden(key)["input"], "profile": profile}])
    assert lamp("pairs", "--task", key, "--questions", path) == {"1": [document["pair"] for document in documents]}


@pytest.mark.parametrize("key", KEYS)
def test_prompts_are_those_of_the_library(lamp, questions_file, tokenizer_folder, tmp_path, key):
    documents = [document["fields"] for document in golden(key)["documents"]]
    profile = [{"id": f"a{place}", **fields} for place, fields in enumerate(documents)]
    path = questions_file([{"id": "1", "input": golden(key)["input"], "profile": profile}])
    ranks = tmp_path / "ranks.json"
    ranks.write_text(json.dumps({"1": [entry["id"] for entry in reversed(profile)]}))
    arguments = ("--task", key, "--questions", path, "--ranks", ranks, "-k", 4, "--tokenizer", tokenizer_folder)
    found = lamp("prompts", *arguments, "--max-input-tokens", 150)
    expected = build_prompt(
        CATALOGUE[key], golden(key)["input"], documents[::-1], tokenizer=subwords(), max_input_tokens=150
    )
    assert found == {"1": expected}


def test_prompts_from_a_retriever_are_those_from_its_ranks(lamp, questions_file, tokenizer_folder, tmp_path):
    path = questions_file([question(TWEETS), question([], question_id=8)])
    lamp("rank", "--questions", path, "--retriever", "bm25")
    common = ("--questions", path, "--tokenizer", tokenizer_folder, "-k", "2")
    by_ranks = lamp("prompts", *common, "--ranks", tmp_path / "rank.json")
    assert by_ranks == lamp("prompts", *common, "--retriever", "bm25")
    assert by_ranks["7"].startswith('"night night" , and "so tired today"  are written')
    assert by_ranks["8"] == question([])["input"]


def test_ranks_may_name_only_the_first_and_numbers_for_texts(lamp, questions_file, tokenizer_folder, tmp_path):
    (tmp_path / "ranks.json").write_text('{"other": ["x"], "7": [71]}')
    common = ("--questions", questions_file([question(TWEETS)]), "--tokenizer", tokenizer_folder)
    found = lamp("prompts", *common, "--ranks", tmp_path / "ranks.json")
    assert found["7"].startswith('"lamp posts at night"  are written')


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ('{"8": []}', "question 7: has no ranks"),
        ('{"7": ["70", "nobody"]}', "question 7: names nobody, which is no entry"),
        ('{"7": ["70", "70"]}', "question 7: names 70 more often"),
        ('{"7": {"70": 1.5}}', "question 7: is not a list"),
        ('{"7": [null]}', "question 7: is not a list"),
        ('{"7": [], "7": []}', "question 7: is there twice"),
        ("[]", "holds no JSON object"),
        ("", "is not JSON"),
        ('{"7": ["70"', "is not JSON"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(lamp, questions_file, tokenizer_folder, tmp_path, ranks, message):
    (tmp_path / "ranks.json").write_text(ranks)
    common = ("--questions", questions_file([question(TWEETS)]), "--tokenizer", tokenizer_folder)
    found = refused(lamp, "prompts", *common, "--ranks", tmp_path / "ranks.json")
    assert found.startswith("ranks.json")
    assert message in found
    assert not (tmp_path / "prompts.json").exists()


def test_an_id_of_two_different_entries_can_not_be_followed(lamp, questions_file, tokenizer_folder, tmp_path):
    asked = question(["a", "b", "c", "c"])
    asked["profile"][1]["id"] = "70"
    asked["profile"][3]["id"] = "72"
    common = ("--questions", questions_file([asked]), "--tokenizer", tokenizer_folder, "--ranks", tmp_path / "r.json")
    (tmp_path / "r.json").write_text('{"7": ["72", "72"]}')
    assert lamp("prompts", *common)["7"].startswith('"c" , and "c" ')
    (tmp_path / "r.json").write_text('{"7": ["70"]}')
    assert "two different entries" in refused(lamp, "prompts", *common)


def test_a_problem_in_the_middle_leaves_the_old_file(lamp, questions_file, tmp_path):
    (tmp_path / "pairs.json").write_text("before")
    path = questions_file([question(["a"]), question(["b"])])
    assert "question 7" in refused(lamp, "pairs", "--questions", path)
    assert (tmp_path / "pairs.json").read_text() == "before"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["dev_questions.json", "pairs.json"]


@pytest.mark.parametrize(
    ("questions", "task", "message"),
    [
        ([question(["a"])], "LaMP-4", "LaMP-7, not of LaMP-4"),
        ([question(["a"]) | {"input": "no marker"}], "LaMP-7", 'question 7, field "input"'),
        ([question(["a"]) | {"profile": [{"id": "1"}]}], "LaMP-7", 'field "profile[0].text": is missing'),
        ({"id": "7"}, "LaMP-7", "dev_questions.json"),
    ],
)
def test_bad_questions_are_refused(lamp, questions_file, questions, task, message):
    path = questions_file(questions)
    assert message in refused(lamp, "rank", "--task", task, "--questions", path, "--retriever", "bm25")


def test_what_can_not_be_found_is_refused(lamp, questions_file, tmp_path):
    path = questions_file([question(["a"])])
    nowhere = tmp_path / "nowhere"
    assert "nowhere" in refused(lamp, "pairs", "--questions", nowhere)
    assert "nowhere" in refused(lamp, "pairs", "--questions", path, "--out", nowhere / "x.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "LaMP-9", "--retriever", "bm25"], "there is no task"),
        (["--retriever", "magic"], "invalid choice"),
        ([], "--retriever"),
    ],
)
def test_wrong_options_are_refused(lamp, questions_file, arguments, message):
    with pytest.raises(CommandError, match=message):
        lamp("rank", "--questions", questions_file([]), *arguments)


def test_no_connection_is_opened_and_a_refusal_exits_with_2(questions_file, tmp_path):
    """In a process of its own, with servers that nobody could reach."""
    nobody = "127.0.0.1:9"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"postgres://nobody:x@{nobody}/none",
        "BROKER_URL": f"redis://{nobody}/0",
        "S3_ENDPOINT": f"http://{nobody}",
    }
    path = questions_file([question(TWEETS)])

    def manage(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", "lamp", "rank", "--questions", str(path), *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    done = manage("--retriever", "bm25", "--out", tmp_path / "ranks.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(json.loads((tmp_path / "ranks.json").read_text())["7"]) == len(TWEETS)
    refusal = manage("--retriever", "recency", "--out", tmp_path / "none.json")
    assert refusal.returncode == 2
    assert len(refusal.stderr.strip().splitlines()) == 1
