"""From a body to questions that can be asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.api.problems import FieldError, Problem, invalid_input
from training_app.asking import Question, question
from users_app.api.base import WorkspaceView
from users_app.models import EndUser


def question_of(view: WorkspaceView, body: Mapping[str, Any], *, at: str = "") -> Question:
    """The question that a `QuestionBody` asks; `at` is where it stands in the request's body.

    Raises `Problem`: 404 for an unknown user, and as `asking.question`.
    """
    values = dict(body)
    return question(end_user=named_end_user(view, values.pop("user"), at=at), at=at, **values)


def questions_of(view: WorkspaceView, bodies: Sequence[Mapping[str, Any]], *, at: str) -> list[Question]:
    """The questions of a list that stands at `at`. What is wrong with several of them is said at once."""
    questions: list[Question] = []
    wrong: list[FieldError] = []
    for number, body in enumerate(bodies):
        try:
            questions.append(question_of(view, body, at=f"{at}/{number}"))
        except Problem as problem:
            if problem.slug != "invalid-input":
                raise
            wrong += problem.errors
    if wrong:
        raise invalid_input(*wrong)
    return questions


def named_end_user(view: WorkspaceView, external_id: str, *, at: str = "") -> EndUser:
    """The end user whom the body names at `at` + "/user"; raises `Problem` 404."""
    try:
        return view.end_user_or_404(external_id)
    except Problem:
        raise Problem(
            404,
            "not-found",
            "There is no such user in this workspace. Make them with PUT /api/v1/users/{user_id}.",
            errors=[
                FieldError(
                    f"{at}/user", "This names nobody here.", "Use the id of a user that GET /api/v1/users lists."
                )
            ],
        ) from None
