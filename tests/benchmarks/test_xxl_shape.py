"""The benchmark at FlanT5-XXL's shape: its workloads, its models, and its whole path in small."""

import json
import statistics

import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.xxl_shape import RESULTS, SHAPES, main, random_model, settings_for, table, users_of
from training_app.costs.paper import TASKS, TOKENS_PER_WORD
from workers.small_models import SMALL_T5


@pytest.mark.parametrize("task", ["LaMP-2", "LaMP-4"])
def test_pairs_are_as_long_as_the_task_s(task):
    users = users_of(task, 8)
    published = TASKS[task]
    assert {len(pairs) for pairs in users} == {round(published.profile)}
    for side, words in (("source", published.source), ("target", published.target)):
        mean = statistics.mean(getattr(pair, side) for pairs in users for pair in pairs)
        assert mean == pytest.approx(words.mean * TOKENS_PER_WORD + 1, rel=0.05)


def test_tweets_are_completed():
    users = users_of("LaMP-7", 16)
    assert 10 < statistics.mean(len(pairs) for pairs in users) < 25
    assert all(pair.source < 64 for pairs in users for pair in pairs)


def test_a_random_model_has_the_shape_and_an_output_layer_of_its_own():
    tokenizer = AutoTokenizer.from_pretrained(str(SMALL_T5))
    model = random_model(SHAPES["tiny"], dtype=torch.bfloat16, device="cpu", tokenizer=tokenizer)
    assert model.num_parameters() == SHAPES["tiny"].parameters
    assert model.encoder.embed_tokens.weight is model.shared.weight is model.decoder.embed_tokens.weight
    assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert {(parameter.dtype, parameter.is_meta) for parameter in model.parameters()} == {(torch.bfloat16, False)}
    hidden = model.encoder(input_ids=torch.full((1, 9), 5)).last_hidden_state
    assert bool(torch.isfinite(hidden).all())


def test_the_real_shape_is_that_of_eleven_billion_parameters():
    assert SHAPES["xxl"].parameters == pytest.approx(11.1e9, rel=0.01)
    assert settings_for("xxl", "cuda").users == 64


def test_without_a_gpu_the_real_shape_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    assert "no GPU that torch can use" in capsys.readouterr().err


def test_what_is_kept_says_whether_it_ran_on_a_gpu():
    for path in RESULTS.glob("xxl_shape-*.json"):
        result = json.loads(path.read_text())
        assert result["ran_on_a_gpu"] == ("accelerator" in result["hardware"])
        assert result["command"].startswith("python -m benchmarks.xxl_shape --shape ")
        assert path.with_suffix(".md").read_text() == table(result)
        assert result["ran_on_a_gpu"] or "says nothing of FlanT5-XXL" in result["note"]


@pytest.mark.long
def test_the_whole_path_runs_in_small(tmp_path, capsys):
    assert main(["--shape", "tiny", "--rounds", "1", "--users", "2", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "xxl_shape-tiny-cpu.json").read_text())
    assert [workload["workload"] for workload in result["workloads"]] == ["LaMP-2", "LaMP-4", "LaMP-7"]
    for workload in result["workloads"]:
        assert workload["of_matrix_rate"] > 0
        assert all(workload[way]["tokens_per_second"] > 0 for way in ("ours", "peft_bf16", "peft_float32"))
    assert "| LaMP-2 | ours, 2 users a pass |" in capsys.readouterr().out
