import io
import json
import os
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.lamp.lamp_files import outputs, tweet_question, write


def stats(**options) -> dict:
    out = io.StringIO()
    call_command("lamp", "stats", stdout=out, **options)
    return json.loads(out.getvalue())


def test_questions_alone_tell_nothing_of_outputs(tmp_path):
    told = stats(questions=write(tmp_path / "q", [tweet_question("1")]))
    assert (told["task"], told["questions"], "golds" in told) == ("LaMP-7", 1, False)


def test_outputs_are_told_where_they_are_given(tmp_path):
    told = stats(
        questions=write(tmp_path / "q", [tweet_question("1")]),
        outputs=write(tmp_path / "o", outputs("LaMP_7", {"1": "two words"})),
    )
    assert told["output_words"]["mean"] == 2


def test_real_lamp_7_is_much_as_the_paper_says(tmp_path):
    if not os.environ.get("LAMP_DATA"):
        pytest.skip("LAMP_DATA does not name a folder with real LaMP files")
    folder = Path(os.environ["LAMP_DATA"]) / "LaMP_7_dev_user_based"
    told = stats(questions=folder / "dev_questions.json", outputs=folder / "dev_outputs.json")
    # The paper's Table 2, of the whole time-based split: 29.72, 16.96 and 15.71.
    assert told["input_words"]["mean"] == pytest.approx(29.72, rel=0.05)
    assert told["output_words"]["mean"] == pytest.approx(16.96, rel=0.05)
    assert told["profile_size"]["mean"] == pytest.approx(15.71, rel=0.15)
