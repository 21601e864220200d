"""What the address of a page names, of the page's workspace; for what is not there, 404."""

from typing import TypeVar

from django.http import Http404

from eval_app.answer_selectors import experiment_by_id
from eval_app.methods import Family, Method
from eval_app.models import Experiment, Run
from eval_app.workspace_selectors import run_by_id
from users_app.models import EndUser, Workspace
from users_app.selectors import end_user_by_id

Found = TypeVar("Found")


def or_404(found: Found | None) -> Found:
    """What was found; raises `Http404` where that is None."""
    if found is None:
        raise Http404
    return found


def run_or_404(workspace: Workspace, run_id: int) -> Run:
    """A run of the workspace."""
    return or_404(run_by_id(workspace=workspace, run_id=run_id))


def experiment_or_404(workspace: Workspace, experiment_id: int) -> Experiment:
    """An experiment of the workspace, without its report."""
    return or_404(experiment_by_id(workspace=workspace, experiment_id=experiment_id))


def end_user_or_404(workspace: Workspace, end_user_id: int) -> EndUser:
    """An end user of the workspace."""
    return or_404(end_user_by_id(workspace=workspace, end_user_id=end_user_id))


def run_title(run: Run) -> str:
    """What a run does, as its column is headed, with the retriever that it uses."""
    family = Family(run.family)
    if family is Family.IMPORTED:
        # Each experiment has a label of its own for it.
        return family.heading
    return Method(family, run.retriever or None, run.rank, control=run.control or None).title
