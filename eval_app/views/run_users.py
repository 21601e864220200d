"""What a run changed for each user, against the non-personalized run."""

from typing import Any, Final

from common.keyset_lists import keyset_page
from eval_app.answer_selectors import baselines_of, users_compared
from eval_app.improvement import Direction
from eval_app.models import Run, UserImprovement
from eval_app.views.found import run_or_404, run_title
from lamp.catalogue import get_task
from users_app.views.base import WorkspacePage

DIRECTIONS: Final = {"better": Direction.BETTER, "same": Direction.SAME, "worse": Direction.WORSE}
DIRECTION_TITLES: Final = {Direction.BETTER: "win", Direction.SAME: "tie", Direction.WORSE: "loss"}
# Each is the order of an index that begins with the run and its baseline.
_ORDERS: Final = {
    "gain": ("Largest gain first", ("-gain", "-end_user_id")),
    "loss": ("Largest loss first", ("gain", "end_user_id")),
    "profile": ("Largest profile first", ("-profile_size", "-end_user_id")),
    "small-profile": ("Smallest profile first", ("profile_size", "end_user_id")),
}


class RunUsersPage(WorkspacePage):
    """The users of a run in an order of choice, a page at a time."""

    template_name = "eval_app/run_users.html"
    title = "Users of a run"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        run = run_or_404(self.workspace, self.kwargs["run_id"])
        query = self.request.GET
        baselines = baselines_of(workspace=self.workspace, run=run)
        baseline = next((one for one in baselines if str(one.pk) == query.get("baseline")), None) or (
            baselines[0] if baselines else None
        )
        direction = query.get("direction") if query.get("direction") in DIRECTIONS else ""
        order = query.get("order") if query.get("order") in _ORDERS else "gain"
        metric = get_task(run.split.task).primary_metric
        page = None
        if baseline is not None:
            page = keyset_page(
                users_compared(
                    workspace=self.workspace,
                    run=run,
                    baseline=baseline,
                    direction=DIRECTIONS[direction] if direction else None,
                ),
                order=_ORDERS[order or ""][1],
                query=query,
                bound_to=f"run-users {run.pk} {baseline.pk} {order}",
            )
        return super().get_context_data(
            run=run,
            run_title=run_title(run),
            baseline=baseline,
            baselines=[(one, run_title(one)) for one in baselines],
            page=page,
            users=[_shown(row) for row in page.rows] if page else [],
            metric=metric,
            orders=[(name, title) for name, (title, _) in _ORDERS.items()],
            order=order,
            directions=[(name, DIRECTION_TITLES[value]) for name, value in DIRECTIONS.items()],
            direction=direction,
            is_control=bool(run.control),
            is_done=run.state == Run.State.DONE,
            **context,
        )


def _shown(row: UserImprovement) -> dict[str, Any]:
    """A row of the list. The gain is positive where better; the way it went is said by a word and a sign."""
    direction = Direction(row.direction)
    return {
        "end_user": row.end_user,
        "questions": row.question_count,
        "profile_size": row.profile_size,
        "score": row.score,
        "baseline_score": row.baseline_score,
        "gain": row.gain,
        "word": DIRECTION_TITLES[direction],
        "badge": {Direction.BETTER: "good", Direction.SAME: "", Direction.WORSE: "bad"}[direction],
    }
