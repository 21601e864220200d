"""The samples of a run, of one user and of a range of scores where asked for."""

import re

import pytest

from eval_app import answer_selectors
from eval_app.models import Prediction
from tests.eval_app.crowds import answered, crowd
from tests.eval_app.stored import answered_run, ended
from tests.members import member_of
from tests.retrieval_app.trained import SCORES, trained


@pytest.fixture
def see(workspace):
    member = member_of(workspace)

    def page(run, query=""):
        answer = member.get(f"/w/{workspace.slug}/runs/{run.pk}/answers/?{query}")
        assert answer.status_code == 200
        return answer

    return page


def outputs(answer):
    return [int(number) for number in re.findall(r">answer (\d+)</div>", answer.content.decode())]


def test_samples_come_in_the_order_of_the_file_with_gold_output_and_score(dev, see):
    run = answered_run(dev, ["rain on my roses again", "my bike", "gloves"])
    page = see(run).content.decode()
    assert page.index("rain on my roses again") < page.index("my bike") < page.index("garden gloves gone again")
    assert "rouge-1</span> 1<" in page


def test_those_of_one_user(dev, see):
    run = answered_run(dev, ["hers", "his", "hers too"])
    page = see(run, "user=bob").content.decode()
    assert ("his" in page, "hers" in page) == (True, False)


def test_a_user_who_is_not_there_is_said_so(dev, see):
    run = answered_run(dev, ["hers", "his", "hers too"])
    for nobody in ("nobody", "a%00b", "x" * 3000):
        page = see(run, f"user={nobody}").content.decode()
        assert "There is no user" in page
        assert "hers" not in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("least=0.5", [2, 3]),
        ("most=0.25", [0, 1]),
        ("least=0.25&most=0.5", [1, 2]),
        ("least=nan&most=1e999", [0, 1, 2, 3]),
        ("least=high&after=x", [0, 1, 2, 3]),
        ("after=999999999999999999", []),
    ],
)
def test_those_of_a_range_of_scores(workspace, see, query, expected):
    run = answered(crowd(workspace, 4), "none", [0.0, 0.25, 0.5, 1.0])
    assert outputs(see(run, query)) == expected


@pytest.mark.parametrize("query", ["", "least=0.5"])
def test_pages_follow_each_other_without_a_gap_or_a_repetition(workspace, see, monkeypatch, query):
    monkeypatch.setattr(answer_selectors, "SEARCHED_AT_ONCE", 40)
    run = answered(crowd(workspace, 130), "none", [at % 3 / 2 for at in range(130)])
    seen, following = [], query
    while following is not None:
        answer = see(run, following)
        seen += outputs(answer)
        following = answer.context["older"]
    assert seen == [at for at in range(130) if not query or at % 3 >= 1]


def test_a_sample_leads_to_its_page_in_the_newest_experiment_or_the_one_asked_for(dev, see):
    run = answered_run(dev, ["hers", "his", "hers too"])
    older, newer = (ended(dev, {"none": run}, name=name) for name in ("older", "newer"))
    assert f"/experiments/{newer.pk}/questions/" in see(run).content.decode()
    assert f"/experiments/{older.pk}/questions/" in see(run, f"experiment={older.pk}").content.decode()
    assert f"/experiments/{newer.pk}/questions/" in see(run, "experiment=77777").content.decode()


def test_a_page_makes_few_queries(workspace, see, django_assert_max_num_queries):
    run = answered(crowd(workspace, 60), "none", [0.5] * 60)
    with django_assert_max_num_queries(12):
        see(run, "least=0.1")


def test_texts_are_shortened_and_escaped(workspace, see):
    hostile = "<script>alert(1)</script>" + "x" * 5000
    run = answered(crowd(workspace, 1, input=hostile, gold=hostile), "none", [0.5])
    page = see(run).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "x" * 400 not in page


def test_inputs_are_shown_without_the_words_that_all_of_the_task_share(dev, see):
    page = see(answered_run(dev, ["hers", "his", "hers too"])).content.decode()
    assert "roses and rain in my garden" in page
    assert "Paraphrase the following tweet" not in page


def test_what_a_selector_chose_stands_beside_each_sample(dev, see, workspace):
    run = answered_run(dev, ["hers", "his", "hers too"], method="rag:rspg-pre", selector=trained(workspace))
    Prediction.objects.filter(question__external_id="100").update(chosen_retriever="none", candidate_scores=SCORES)
    page = see(run).content.decode()
    assert page.count("<strong>No documents</strong>") == 1
    assert '<span class="muted">BM25</span> 1.500' in page
    assert page.count("not known</span></td>") == 2


def test_of_a_retriever_that_chooses_nothing_there_is_no_such_column(dev, see):
    assert "Chosen retriever" not in see(answered_run(dev, ["a", "b", "c"], method="rag:bm25")).content.decode()
