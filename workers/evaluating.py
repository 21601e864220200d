"""The jobs that take an experiment from stage to stage, score its runs and hold it against other baselines."""

from collections.abc import Sequence

from eval_app.baselines import compare_with, record_comparison
from eval_app.experiments import advance_experiment, record_provenance
from eval_app.models import Experiment, Run
from eval_app.reports import score_run
from jobs.batches import ClaimedJob
from workers import provenance


def advance(jobs: Sequence[ClaimedJob]) -> None:
    """Take each job's experiment as far as it goes."""
    for job in jobs:
        with job.isolated(), job.finishing():
            if Experiment.objects.filter(pk=job.payload["experiment_id"]).exists():
                advance_experiment(experiment_id=job.payload["experiment_id"])


def record_where_runs_are_made(jobs: Sequence[ClaimedJob]) -> None:
    """Say for each job's experiment what its runs are made with: this worker's packages and machine."""
    for job in jobs:
        with job.isolated(), job.finishing():
            record_provenance(
                experiment_id=job.payload["experiment_id"],
                versions=provenance.versions(),
                hardware=provenance.hardware_of_models(),
            )


def score(jobs: Sequence[ClaimedJob]) -> None:
    """Score each job's run."""
    for job in jobs:
        with job.isolated(), job.finishing():
            run = Run.objects.select_related("split").filter(pk=job.payload["run_id"], state=Run.State.SCORING).first()
            if run is not None:
                score_run(run=run)


def compare(jobs: Sequence[ClaimedJob]) -> None:
    """Hold each job's experiment against another baseline."""
    for job in jobs:
        with job.isolated():
            _compare(job)


def _compare(job: ClaimedJob) -> None:
    experiment = Experiment.objects.filter(pk=job.payload["experiment_id"], report__isnull=False).first()
    if experiment is None:
        with job.finishing():
            return

    def say(done: int, total: int) -> None:
        job.check()
        job.progress(done=done, total=total, message="columns compared")

    found = compare_with(experiment=experiment, baseline=job.payload["baseline"], say=say)
    with job.finishing():
        record_comparison(experiment=experiment, baseline=job.payload["baseline"], comparisons=found)
