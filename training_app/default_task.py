"""Which task is meant where a request names none, as clients of OpenAI's API do."""

from common.api.problems import FieldError, invalid_input
from users_app.models import EndUser, Workspace
from users_app.selectors import profile_entries

_SHOWN = 20


def only_task(*, workspace: Workspace, end_user: EndUser) -> str:
    """The one task that the end user has documents of.

    Raises Problem 400 where there are several, or none: then nothing says what is meant.
    """
    live = profile_entries(workspace=workspace, end_user=end_user)
    tasks = list(live.order_by("task").values_list("task", flat=True).distinct()[:_SHOWN])
    if len(tasks) == 1:
        return tasks[0]
    message = (
        f"This user has documents of {', '.join(tasks)}, so the task must be named."
        if tasks
        else "This user has no documents yet, so the task must be named."
    )
    raise invalid_input(FieldError("/task", message, "Send one of the keys that GET /api/v1/tasks lists."))
