"""Adapters lie spread over the bucket: two hexadecimal digits of a hash come first, whoever they are of."""

import re
from collections import Counter

import pytest

from training_app.identity import adapter_identity
from training_app.object_keys import adapter_prefix, checkpoint_prefix, identity_of, is_of_adapter, versions_prefix

FOLDERS = 256


def identity(*, end_user_id: int, version: int = 0) -> str:
    """An adapter of a user who differs from the next by one number, as they do in a database."""
    return adapter_identity(
        workspace_id=1,
        end_user_id=end_user_id,
        base_model="google/flan-t5-base@1",
        dtype="float32",
        exact=False,
        stored_dtype="bfloat16",
        task="LaMP-7",
        task_version="1",
        hyperparameters={"rank": 8},
        document_digests=[f"{version}"],
        seed=0,
        engine_version="1",
    )


def folder(key: str) -> str:
    return key.split("/")[1]


@pytest.mark.parametrize(
    "prefix",
    [
        adapter_prefix(identity=identity(end_user_id=7), digest="d1"),
        versions_prefix(identity=identity(end_user_id=7)),
        checkpoint_prefix(identity=identity(end_user_id=7)),
    ],
)
def test_after_the_kind_comes_the_beginning_of_the_hash(prefix):
    named = identity(end_user_id=7)
    assert re.fullmatch(r"(adapters|checkpoints)/[0-9a-f]{2}/[0-9a-f]{64}/.*", prefix)
    assert folder(prefix) == named[:2]
    assert identity_of(prefix) == named
    assert is_of_adapter(prefix)


@pytest.mark.parametrize(
    "keys",
    [
        [adapter_prefix(identity=identity(end_user_id=number), digest="d") for number in range(25_600)],
        [adapter_prefix(identity=identity(end_user_id=1, version=number), digest="d") for number in range(25_600)],
    ],
    ids=["users who follow each other", "versions of one user"],
)
def test_every_folder_gets_its_share(keys):
    counts = Counter(folder(key) for key in keys)
    assert len(counts) == FOLDERS
    expected = len(keys) / FOLDERS
    # Of what is spread evenly by chance the sum lies between 167 and 367 in all but one case in a hundred thousand.
    assert 167 < sum((count - expected) ** 2 / expected for count in counts.values()) < 367
