"""Where users' traits decide nothing, nothing personal may help: a leak of golds into profiles or adapters shows here.

The whole way from generated files to the table is gone, with controls and truth, on users whose traits have no effect.
"""

import json

import pytest

from eval_app.significance import holm
from lamp.synthetic import generate

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

USERS = 30
SEED = 5
METHODS = "none,rag:bm25,rag:contriever,peft:8,peft-rag:best:8"
BY_CHANCE = 0.01
# Enough of training that an adapter answers otherwise than the small model alone.
TRAINING = ("--epochs", "3", "--learning-rate", "3e-3", "--max-output-tokens", "32")


@pytest.fixture(scope="module")
def rows(installation):
    """The rows of the table."""
    folder = installation.var / "data"
    where = ("--workspace", "lab", "--dataset", "impersonal", "--split", "dev")
    for task in generate(folder, users=USERS, seed=SEED, strength=0.0):
        files = folder / task.replace("-", "_")
        found = ("--questions", files / "dev_questions.json", "--outputs", files / "dev_outputs.json")
        installation.run("import_lamp", *where, *found, "--truth", files / "truth.json")
    path = installation.var / "report.json"
    settings = ("--methods", METHODS, "--controls", "swapped", "--base-model", "small", *TRAINING)
    installation.run("run_experiment", *where, "--name", "zero", *settings, "--json", path, seconds=1500)
    return json.loads(path.read_text())["rows"]


def personalized(rows):
    """(row, cell) of each personalized column of each row."""
    return [(row, cell) for row in rows for method, cell in row["cells"].items() if method != "none"]


def test_every_personalized_cell_has_its_control(rows):
    assert len(personalized(rows)) == 13 * 4
    assert {cell["n"] == cell["control"]["n"] >= USERS for _, cell in personalized(rows)} == {True}


def test_no_personalized_method_beats_none(rows):
    better = [
        (row["task"], row["metric"], cell["p_holm"])
        for row, cell in personalized(rows)
        if cell["p_holm"] <= BY_CHANCE and (cell["delta"] > 0) == row["higher_is_better"]
    ]
    assert better == []


def test_own_and_swapped_differ_nowhere(rows):
    corrected = holm([cell["control"]["p_value"] for _, cell in personalized(rows)])
    assert [cell["control"]["p_holm"] for _, cell in personalized(rows)] == pytest.approx(corrected)
    assert min(corrected) > BY_CHANCE
