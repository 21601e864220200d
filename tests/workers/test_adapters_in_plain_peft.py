"""Many users' adapters, trained in one pass of this process and stored: what they are elsewhere is what is served."""

import pytest

from tests import people
from tests.people import ASK
from tests.workers.asked import TAUGHT, ask, plan
from tests.workers.passes import run_pass
from tests.workers.plain_peft import PlainAnswer, answers_in_plain_peft
from training_app.adapters import request_adapters
from training_app.models import Adapter, Generation
from workers.adapter_cache import download_adapter

PROMPT = ASK + "roses and rain in my garden"
SEARCH = {"num_beams": 4, "max_output_tokens": 12, "exact": False, "dtype": "float32"}
RANKS = (8, 4, 8, 2, 8, 5)


@pytest.fixture
def six(alice, bob, mallory):
    """Three more people whose tweets are a mixture of the others'."""
    mixtures = (people.OF_ALICE[:2] + people.OF_BOB[2:], people.OF_BOB[:1] + people.OF_MALLORY, people.OF_ALICE[3:])
    more = [people.person(alice.workspace, f"mixture {at}", tweets) for at, tweets in enumerate(mixtures)]
    return [alice, bob, mallory, *more]


@pytest.fixture
def adapters(six, in_process):
    """Their adapters, of one pass, stored as this installation stores them by default."""
    plans = [plan(user, **{**TAUGHT, "rank": rank}) for user, rank in zip(six, RANKS, strict=True)]
    request_adapters(plans=plans)
    claimed, _ = run_pass()
    assert len(claimed) == 6
    standing = {adapter.identity: adapter for adapter in Adapter.objects.all()}
    return [standing[plan.identity] for plan in plans]


@pytest.fixture
def served(six, adapters, in_process):
    """What is answered to one prompt: without an adapter, then with each, all in one batch."""
    asked = [ask(six[0], parameters=SEARCH)]
    asked += [ask(user, adapter=adapter, parameters=SEARCH) for user, adapter in zip(six, adapters, strict=True)]
    assert in_process("generate") == 1
    answered = [Generation.objects.get(pk=one.pk) for one in asked]
    assert {one.prompt for one in answered} == {PROMPT}
    return [PlainAnswer(one.output, one.output_tokens) for one in answered]


def test_each_loads_in_plain_peft_and_answers_what_was_served_and_not_what_the_base_answers(adapters, served, tmp_path):
    folders = []
    for adapter in adapters:
        assert (adapter.stored_dtype, adapter.exact) == ("bfloat16", False)
        folders.append(tmp_path / str(adapter.pk))
        folders[-1].mkdir()
        download_adapter(adapter, folder=folders[-1])
    search = {"num_beams": SEARCH["num_beams"], "max_new_tokens": SEARCH["max_output_tokens"]}
    assert answers_in_plain_peft(folders, prompt=PROMPT, search=search) == served
    base, *personal = served
    assert base not in personal
    assert len(set(personal)) > 3
