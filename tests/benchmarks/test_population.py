"""The people of the benchmark `scale`: as many as are asked for, and the first ones always the same."""

from itertools import islice

import numpy as np

from benchmarks.population import _BINARY_COPY, _VECTOR_ROW, DIMENSION, DOCUMENTS, _documents, _vectors, make_query
from users_app.documents import document_digest


def test_the_first_users_have_the_same_documents_however_many_there_are():
    few, many = list(_documents(1_000)), list(_documents(2_000))
    assert len(few) == 1_000 * DOCUMENTS
    assert len(many) == 2_000 * DOCUMENTS
    of_few = {(user, (number - user) // 1_000): fields for number, user, _, _, fields in few}
    of_many = {(user, (number - user) // 2_000): fields for number, user, _, _, fields in many if user <= 1_000}
    assert of_few == of_many


def test_a_users_documents_stand_apart_as_they_would_have_come():
    numbers = [number for number, user, *_ in _documents(1_000) if user == 5]
    assert np.diff(numbers).tolist() == [1_000] * (DOCUMENTS - 1)


def test_digests_are_those_of_real_documents():
    _, _, _, digest, fields = next(_documents(1_000))
    assert digest == document_digest({"text": fields.removeprefix('{"text": "').removesuffix('"}')})


def test_vectors_are_rows_of_a_binary_copy():
    [first] = islice(_vectors(1_000), 1)
    rows = np.frombuffer(first, dtype=_VECTOR_ROW)
    assert rows["end_user"].tolist() == list(range(1, 1_001))
    assert set(rows["vector_size"].tolist()) == {4 + 4 * DIMENSION}
    assert _BINARY_COPY.startswith(b"PGCOPY")
    [other] = islice(_vectors(2_000), 1)
    assert np.array_equal(rows["vector"], np.frombuffer(other, dtype=_VECTOR_ROW)["vector"])


def test_a_query_is_the_same_each_time_it_is_made():
    assert make_query(3).text == make_query(3).text != make_query(4).text
    assert np.array_equal(make_query(3).vector, make_query(3).vector)
