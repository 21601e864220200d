"""How much an output is worth, as feedback to what chose its documents (LaMP reference §3, §7)."""

from lamp.metrics import sample_scores
from lamp.tasks import Kind, Task

# macro F1 is no mean over samples, so that no sample has one: what it is made of counts instead.
_OF_A_SAMPLE = {"f1": "accuracy"}
# Every prediction that is no number counts as the end of the scale that lies farther from the gold.
_WORST_RATING = ""


def utility(task: Task, *, output: str, gold: str) -> float:
    """The sample's score in the task's first metric as a number in [0, 1] of which more is better.

    accuracy (f1 too) and ROUGE: the score itself. MAE: (worst - error) / worst with worst = max(|gold - lowest|,
    |gold - highest|) of the task's scale; RMSE: the same of the squared errors. An output beyond the scale is worth 0,
    not less.

    >>> from lamp.catalogue import get_task
    >>> utility(get_task("LaMP-3"), output="3", gold="4")
    0.6666666666666666
    """
    name = _OF_A_SAMPLE.get(task.primary_metric.name, task.primary_metric.name)
    score = sample_scores(task, output, gold)[name]
    if task.kind is not Kind.RATING:
        return score
    worst = sample_scores(task, _WORST_RATING, gold)[name]
    if worst == 0:
        return float(score == 0)
    return max(0.0, (worst - score) / worst)
