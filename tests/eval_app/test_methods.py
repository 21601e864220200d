import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_app.methods import (
    BEST,
    MAX_RANK,
    NONE,
    RETRIEVERS,
    Family,
    Method,
    MethodError,
    parse_method,
    parse_methods,
)


def test_the_list_of_the_issue_is_read_in_its_order():
    assert parse_methods("none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8") == [
        NONE,
        Method(Family.RAG, "bm25"),
        Method(Family.RAG, "recency"),
        Method(Family.RAG, "contriever"),
        Method(Family.PEFT, rank=8),
        Method(Family.PEFT_RAG, "best", 8),
    ]


@pytest.mark.parametrize(
    ("written", "key", "title"),
    [
        ("none", "none", "None"),
        (" RAG : BM25 ", "rag:bm25", "RAG BM25"),
        ("rag:recency", "rag:recency", "RAG Recency"),
        ("peft:08", "peft:8", "PEFT r=8"),
        ("peft:256", "peft:256", "PEFT r=256"),
        ("peft-rag:contriever:64", "peft-rag:contriever:64", "PEFT-RAG Contriever r=64"),
        ("peft-rag:best:8", "peft-rag:best:8", "PEFT-RAG best r=8"),
        ("imported:GPT-x_1.0", "imported:GPT-x_1.0", "Imported GPT-x_1.0"),
        ("rag:BM25 @ Swapped", "rag:bm25@swapped", "RAG BM25 swapped"),
        ("peft:8@swapped", "peft:8@swapped", "PEFT r=8 swapped"),
        ("peft-rag:best:8@swapped", "peft-rag:best:8@swapped", "PEFT-RAG best r=8 swapped"),
    ],
)
def test_a_method_has_one_canonical_key_and_a_title(written, key, title):
    method = parse_method(written)
    assert (method.key, method.title) == (key, title)
    assert parse_method(method.key) == method


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "is empty"),
        ("none,", "is empty"),
        ("lora:8", "no known family"),
        ("none:1", "none takes nothing after it"),
        ("rag", "rag takes one part after it"),
        ("rag:bm25:8", "rag takes one part after it"),
        ("rag:splade", "names no known retriever"),
        ("rag:", "names no known retriever"),
        ("peft:bm25", "no whole number between 1 and 256"),
        ("peft:0", "no whole number between 1 and 256"),
        ("peft:257", "no whole number between 1 and 256"),
        ("peft:-8", "no whole number between 1 and 256"),
        ("peft:8.0", "no whole number between 1 and 256"),
        ("peft:٨", "no whole number between 1 and 256"),
        ("peft:" + "9" * 5000, "no whole number between 1 and 256"),
        ("peft-rag:8", "peft-rag takes two parts after it"),
        ("peft-rag:8:best", "names no known retriever"),
        ("rag:bm25,RAG:BM25", "comes twice"),
        ("peft:8,peft:08", "comes twice"),
        ("imported:mine", "predicted elsewhere and cannot be run"),
        ("rag:bm25@swapped", "is a control: ask for its method, and for controls swapped"),
        ("rag:bm25@", "has no such control; those of personalized methods: swapped"),
        ("rag:bm25@" + "x" * 5000, "has no such control"),
        ("none@swapped", "has no such control"),
        ("imported:mine@swapped", "has no such control"),
    ],
)
def test_a_wrong_method_is_named_with_what_is_allowed(written, complaint):
    with pytest.raises(MethodError) as caught:
        parse_methods(written)
    message = str(caught.value)
    assert complaint in message
    assert "none, rag:(bm25|recency|contriever|ropg-kd|ropg-rl|rspg-pre|rspg-post|best), peft:(rank 1..256)" in message
    assert caught.value.token == written.split(",")[-1].strip()
    assert len(message) < 400


def test_an_error_is_a_value_error():
    with pytest.raises(ValueError, match=r"'nonsense'"):
        parse_methods("none,nonsense")


@pytest.mark.parametrize("label", ["", "=1+1", "a b", "-x", "x" * 65, "a/b"])
def test_a_label_of_imported_predictions_is_a_plain_name(label):
    with pytest.raises(MethodError, match="letters, digits"):
        parse_method(f"imported:{label}")


@pytest.mark.parametrize(
    "parts",
    [
        {"family": Family.NONE, "retriever": "bm25"},
        {"family": Family.NONE, "rank": 8},
        {"family": Family.RAG},
        {"family": Family.PEFT},
        {"family": Family.PEFT, "rank": MAX_RANK + 1},
        {"family": Family.PEFT_RAG, "rank": 8},
        {"family": Family.IMPORTED},
        {"family": Family.NONE, "label": "x"},
        {"family": Family.NONE, "control": "swapped"},
        {"family": Family.RAG, "retriever": "bm25", "control": "shuffled"},
    ],
)
def test_a_method_cannot_be_made_of_parts_that_do_not_belong_together(parts):
    with pytest.raises(ValueError):
        Method(**parts)


def test_retrievers_that_choose_among_others_are_named_like_any():
    method = parse_method("peft-rag:rspg-pre:16")
    assert method.title == "PEFT-RAG RSPG-Pre r=16"


@pytest.mark.parametrize("name", RETRIEVERS)
def test_no_retriever_has_a_name_that_the_parser_would_misread(name):
    assert parse_method(f"rag:{name}").key == f"rag:{name}" != f"rag:{BEST}"


@given(st.text(max_size=80))
def test_whatever_is_written_is_either_read_or_refused_in_one_line(written):
    try:
        found = parse_methods(written)
    except MethodError as error:
        complaint, found = str(error), []
    else:
        complaint = ""
    assert len(complaint.splitlines()) == (not found)
    if found:
        assert parse_methods(",".join(method.key for method in found)) == found
