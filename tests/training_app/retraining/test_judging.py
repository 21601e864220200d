import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training_app.retraining.judging import Candidate, judge

# A busy machine says nothing of what is tested.
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TRIAL, OLD, NONE = Candidate.TRIAL, Candidate.OLD, Candidate.NONE
SCORES = st.lists(
    st.tuples(*[st.floats(0, 10, allow_nan=False).map(lambda value: round(value, 3))] * 3), min_size=1, max_size=8
)


@BUSY
@given(SCORES, st.booleans())
def test_the_winner_is_not_worse_than_any_other(rows, higher_is_better):
    judgement = judge(dict(zip(Candidate, zip(*rows, strict=True), strict=True)), higher_is_better=higher_is_better)
    best = (max if higher_is_better else min)(judgement.means.values())
    assert judgement.means[judgement.winner] == best


@BUSY
@given(SCORES)
def test_without_an_old_adapter_it_is_between_the_trial_and_none(rows):
    scores = dict(zip(Candidate, zip(*rows, strict=True), strict=True))
    del scores[OLD]
    judgement = judge(scores, higher_is_better=True)
    assert judgement.winner is (TRIAL if judgement.means[TRIAL] >= judgement.means[NONE] else NONE)


@pytest.mark.parametrize(
    ("trial", "old", "none", "winner"),
    [(1, 1, 1, TRIAL), (0, 1, 1, OLD), (0, 0, 1, NONE), (1, 0, 1, TRIAL), (1, 2, 0, OLD), (2, 1, 0, TRIAL)],
)
def test_of_equals_the_trial_is_preferred_and_the_old_adapter_before_none(trial, old, none, winner):
    scores = {TRIAL: [trial], OLD: [old], NONE: [none]}
    assert judge(scores, higher_is_better=True).winner is winner
    assert (
        judge({who: [-value for value in found] for who, found in scores.items()}, higher_is_better=False).winner
        is winner
    )


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {TRIAL: [], NONE: []},
        {TRIAL: [1.0], NONE: [1.0, 2.0]},
        {TRIAL: [1.0], OLD: [1.0]},
        {OLD: [1.0], NONE: [1.0]},
    ],
    ids=str,
)
def test_what_was_not_measured_alike_is_not_judged(scores):
    with pytest.raises(ValueError, match="measured"):
        judge(scores, higher_is_better=True)
