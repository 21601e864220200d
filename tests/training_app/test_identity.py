import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_app.identity import adapter_identity, digest_of

INPUTS = {
    "workspace_id": 1,
    "end_user_id": 2,
    "base_model": "small@abc",
    "dtype": "float32",
    "exact": False,
    "stored_dtype": "bfloat16",
    "task": "LaMP-7",
    "task_version": "v1",
    "hyperparameters": {"rank": 8, "epochs": 50, "learning_rate": 5e-4},
    "document_digests": ["aa", "bb", "cc"],
    "seed": 0,
    "engine_version": "1",
    "is_trial": False,
}


def identity(**changed):
    return adapter_identity(**{**INPUTS, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"workspace_id": 3},
        {"end_user_id": 3},
        {"base_model": "small@abd"},
        {"dtype": "bfloat16"},
        {"exact": True},
        {"stored_dtype": "float32"},
        {"task": "LaMP-4"},
        {"task_version": "v2"},
        {"hyperparameters": {**INPUTS["hyperparameters"], "rank": 16}},
        {"hyperparameters": {**INPUTS["hyperparameters"], "epochs": 49}},
        {"hyperparameters": {**INPUTS["hyperparameters"], "dropout": 0.1}},
        {"document_digests": ["aa", "bb"]},
        {"document_digests": ["aa", "bb", "cd"]},
        {"document_digests": ["bb", "aa", "cc"]},
        {"document_digests": ["aa", "bb", "cc", "cc"]},
        {"document_digests": ["aabb", "cc"]},
        {"seed": 1},
        {"engine_version": "2"},
        {"is_trial": True},
    ],
    ids=lambda changed: " ".join(f"{name}={value}" for name, value in changed.items()),
)
def test_each_input_is_part_of_an_adapters_name(changed):
    assert identity(**changed) != identity()


def test_the_same_inputs_name_the_same_adapter_in_whatever_order_the_settings_stand():
    backwards = dict(reversed(INPUTS["hyperparameters"].items()))
    assert identity(hyperparameters=backwards) == identity()


def test_every_input_is_covered_by_the_test_above():
    import inspect

    assert set(inspect.signature(adapter_identity).parameters) == set(INPUTS)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(st.characters(codec="utf-8"), max_size=5)))
def test_a_digest_is_of_the_value_and_not_of_its_order(value):
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


def test_what_is_no_number_has_no_digest():
    with pytest.raises(ValueError):
        digest_of({"learning_rate": float("nan")})
