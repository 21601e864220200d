"""The page of Figure 1, and its pictures."""

import json
import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from scipy import stats

from eval_app.figure_1_panels import SIZES_MOST, read_figure_1
from eval_app.models import UserImprovement
from tests.eval_app.stored import answered_run, ended
from tests.people import Asked, person, split_of, tweets_of
from users_app.erasure import erase_end_user
from users_app.models import EndUser, Membership
from users_app.services import set_role

REVIEW = "What is the score of the following review? review: "
SIZES = (1, 2, 3, 4, 5, 6)
# Of six users with one to six documents: with PEFT, who has 4 or more becomes better, the smallest worse.
GOLDS = ["2", "3", "3", "3", "3", "3"]
NONE = ["1", "3", "3", "1", "1", "1"]
PEFT = ["5", "3", "3", "3", "3", "3"]
RAG = ["1", "3", "3", "1", "1", "3"]
CHANGED = [(1, -1), (4, 1), (5, 1), (6, 1)]


@pytest.fixture
def split(workspace):
    asked = []
    for size, gold in zip(SIZES, GOLDS, strict=True):
        user = person(workspace, f"user-{size}", [{"text": f"{size} {at}"} for at in range(size)])
        asked.append(Asked(user, REVIEW + "fine", gold, tweets_of(user)))
    return split_of(asked, task="LaMP-3", has_dates=False)


@pytest.fixture
def experiment(split):
    return ended(
        split,
        {
            "none": answered_run(split, NONE),
            "peft:8": answered_run(split, PEFT, method="peft:8"),
            "rag:bm25": answered_run(split, RAG, method="rag:bm25"),
        },
    )


@pytest.fixture
def viewer(client, workspace):
    user = get_user_model().objects.create_user("viewer", is_staff=True)
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    client.force_login(user)
    return client


def address(experiment, what="figure-1/"):
    return f"/w/acme/experiments/{experiment.pk}/{what}"


def text_of(answer):
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def drawn(answer):
    """What the page's script draws, by family."""
    [found] = re.findall(r'<script id="figure-1-data" type="application/json">(.*?)</script>', answer.content.decode())
    return {panel["family"]: panel for panel in json.loads(unescape(found))}


def figure_of(experiment, task="all"):
    experiment.refresh_from_db()
    return read_figure_1(workspace=experiment.workspace, experiment=experiment, task=task)


class TestPage:
    def test_slope_correlation_and_n_are_scipys(self, viewer, experiment):
        fit = stats.linregress([size for size, _ in CHANGED], [direction for _, direction in CHANGED])
        reach = stats.t.ppf(0.975, 2) * fit.stderr
        text = text_of(viewer.get(address(experiment)))
        assert f"{10 * fit.slope:+.4f}" in text
        assert f"{10 * (fit.slope - reach):+.4f} to {10 * (fit.slope + reach):+.4f}" in text
        assert f"Correlation {fit.rvalue:+.3f} n (users who changed) 4" in text

    def test_the_line_that_is_drawn_is_that_line(self, viewer, experiment):
        fit = stats.linregress([size for size, _ in CHANGED], [direction for _, direction in CHANGED])
        line = drawn(viewer.get(address(experiment)))["peft"]["line"]
        assert (line["x"][0], line["x"][-1]) == (1, pytest.approx(6))
        assert [line["y"][0], line["y"][-1]] == pytest.approx(
            [fit.intercept + fit.slope, fit.intercept + 6 * fit.slope]
        )
        assert all(low < y < high for low, y, high in zip(line["low"], line["y"], line["high"], strict=True))

    def test_each_user_is_in_a_mark_by_size_and_direction(self, viewer, experiment):
        marks = drawn(viewer.get(address(experiment)))["peft"]["marks"]
        assert sorted(marks) == [[1, -1, 1], [2, 0, 1], [3, 0, 1], [4, 1, 1], [5, 1, 1], [6, 1, 1]]

    def test_a_family_of_whose_users_too_few_changed_has_no_line(self, viewer, experiment):
        page = viewer.get(address(experiment))
        assert drawn(page)["rag"]["line"] is None
        assert "No line: fewer than two users changed" in text_of(page)

    def test_it_says_which_columns_it_draws(self, viewer, experiment):
        text = text_of(viewer.get(address(experiment)))
        assert ("LaMP-3: PEFT r=8" in text, "LaMP-3: RAG BM25" in text) == (True, True)

    def test_one_task_can_be_chosen_and_nonsense_is_all(self, viewer, experiment):
        assert "PEFT, LaMP-3" in text_of(viewer.get(address(experiment), {"task": "LaMP-3"}))
        assert "PEFT, all tasks" in text_of(viewer.get(address(experiment), {"task": "<script>"}))

    def test_before_the_end_there_is_no_figure(self, viewer, experiment):
        experiment.report = None
        experiment.save()
        assert "there is no figure yet" in text_of(viewer.get(address(experiment)))
        assert viewer.get(address(experiment, "figure-1.png")).status_code == 404

    def test_without_a_baseline_there_is_nothing_to_draw(self, viewer, split):
        alone = ended(split, {"peft:8": answered_run(split, PEFT, method="peft:8")})
        assert "There is nothing to draw" in text_of(viewer.get(address(alone)))
        assert viewer.get(address(alone, "figure-1.pdf")).status_code == 404

    def test_an_older_report_shows_its_numbers_and_draws_no_line(self, viewer, experiment):
        experiment.refresh_from_db()
        for of_family in experiment.report["figure_1"].values():
            for line in of_family.values():
                if line:
                    del line["intercept"]
        experiment.save()
        page = viewer.get(address(experiment))
        assert "The line is not drawn" in text_of(page)
        assert drawn(page)["peft"]["line"] is None

    def test_of_an_erased_user_nothing_is_drawn_and_the_line_stays(self, viewer, experiment, workspace):
        before = drawn(viewer.get(address(experiment)))["peft"]
        erase_end_user(workspace=workspace, end_user=EndUser.objects.get(external_id="user-5"))
        after = drawn(viewer.get(address(experiment)))["peft"]
        assert after["marks"] == [mark for mark in before["marks"] if mark[0] != 5]
        assert after["line"] == before["line"]

    def test_when_everybody_was_erased_it_says_so(self, viewer, experiment):
        UserImprovement.objects.all().delete()
        assert "nothing is left of the users" in text_of(viewer.get(address(experiment)))

    def test_it_asks_few_questions_of_the_database(self, viewer, experiment, django_assert_max_num_queries):
        with django_assert_max_num_queries(15):
            viewer.get(address(experiment))


class TestManyUsers:
    def test_marks_stay_few_and_hold_everybody(self, experiment):
        run, baseline = UserImprovement.objects.filter(run__family="peft").values_list("run_id", "baseline_id").first()
        users = EndUser.objects.bulk_create(
            EndUser(workspace=experiment.workspace, external_id=f"more-{at}") for at in range(500)
        )
        UserImprovement.objects.bulk_create(
            UserImprovement(
                run_id=run, baseline_id=baseline, end_user=user, metric="MAE", profile_size=at * 3.5, question_count=1,
                score=1, baseline_score=1, direction=at % 3 - 1,
            )
            for at, user in enumerate(users)
        )  # fmt: skip
        figure = figure_of(experiment)
        marks = figure.panels[0].marks
        assert sum(mark.users for mark in marks) == 506
        assert len({mark.size for mark in marks}) <= SIZES_MOST + 1
        assert figure.width == 30
        assert [figure.panels[0].users(direction) for direction in (-1, 0, 1)] == [168, 169, 169]

    def test_another_workspaces_improvements_are_not_read(self, experiment, mallory):
        assert read_figure_1(workspace=mallory.workspace, experiment=experiment, task="all").panels[0].marks == []


class TestPictures:
    @pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
    def test_it_can_be_had_as_a_file_that_is_always_the_same(self, viewer, experiment, form, begins):
        answer = viewer.get(address(experiment, f"figure-1.{form}"), {"task": "LaMP-3"})
        assert answer.content.startswith(begins)
        assert answer.content == viewer.get(address(experiment, f"figure-1.{form}"), {"task": "LaMP-3"}).content
        assert answer.headers["Content-Disposition"] == f'attachment; filename="first-figure-1-lamp-3.{form}"'

    def test_it_loads_nothing_from_elsewhere(self, viewer, experiment):
        assert b"<script" not in viewer.get(address(experiment, "figure-1.svg")).content
