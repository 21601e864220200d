"""The jobs of one workspace, as its programs see them."""

from django.db.models import OuterRef, QuerySet, Subquery

from jobs.models import Job
from users_app.models import EndUser, Workspace


def jobs_of_workspace(*, workspace: Workspace) -> QuerySet[Job]:
    """Every job of `workspace`, each with `user`: the client's name of the end user it is about, or None."""
    name = EndUser.objects.filter(workspace=workspace, pk=OuterRef("end_user_id")).values("external_id")
    return Job.objects.filter(workspace_id=workspace.pk).annotate(user=Subquery(name)).defer("payload", "error_trace")
