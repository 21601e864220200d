"""φ_p, to the character and the token.

`Words` counts words and one end token, so every figure here can be made by hand from the LaMP reference, §4.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.catalogue import CATALOGUE, LAMP_1, LAMP_2, LAMP_2N, LAMP_3, LAMP_4, LAMP_5, LAMP_6, LAMP_7
from lamp.queries import MissingMarker, input_of
from retrieval_app.prompts import DoesNotFit, budget_entries, build_prompt
from tests.lamp.golden_files import KEYS, golden
from tests.retrieval_app.words import Words, subwords

TWEET = "Paraphrase the following tweet without any explanation before or after it: a b c"  # 14 words: 15 tokens
CITATION = input_of(LAMP_1, {"title": "T", "first_reference": "A", "second_reference": "B"})  # 28 words: 29 tokens
ABSTRACT = "Generate a title for the following abstract of a paper: w"  # 11 words: 12 tokens
LONG = "description: article: review: " + "x " * 1000


def prompt(task, text, documents, budget):
    return build_prompt(task, text, documents, tokenizer=Words(), max_input_tokens=budget)


def tweets(*texts):
    return [{"text": text} for text in texts]


@pytest.mark.parametrize("key", KEYS)
def test_golden_prompts(key):
    documents = [document["fields"] for document in golden(key)["documents"]]
    found = prompt(CATALOGUE[key], golden(key)["input"], documents, 2000)
    assert found == golden(key)["prompt"]


@pytest.mark.parametrize("key", KEYS)
def test_golden_entries(key):
    documents = golden(key)["documents"]
    fields = [document["fields"] for document in documents]
    entries = budget_entries(CATALOGUE[key], fields, room=2000, tokenizer=Words())
    assert entries == [document["entry"] for document in documents]


def test_without_documents_the_prompt_is_the_plain_input():
    assert prompt(LAMP_7, TWEET, [], 512) == TWEET
    assert budget_entries(LAMP_7, [], room=10, tokenizer=Words()) == []


def test_every_entry_has_the_same_share():
    # room 40 − 15 = 25; overhead 1 + 2 + 9 = 12; share 6; each text: 6 − 2 = 4 tokens, 3 words.
    found = prompt(LAMP_7, TWEET, tweets("one two three four five", "six seven eight nine"), 40)
    entries = '"one two three" , and "six seven eight" '
    assert found == f"{entries} are written by a person. Following the given patterns {TWEET}"


def test_what_an_entry_leaves_passes_on_to_the_next():
    # share 6; "six" takes 2 + 2, so 2 are saved; the second text: 6 + 2 − 2 = 6 tokens, 5 words.
    found = prompt(LAMP_7, TWEET, tweets("six", "one two three four five six"), 40)
    assert found.startswith('"six" , and "one two three four five"  are')


def test_long_fixed_words_take_from_their_own_entry():
    # LaMP-4: room 60 − 30 = 30; overhead 3; share 13. The first entry's fixed words take 11 + 1: 1 is left, an empty
    # text. Nothing is saved; the second: fixed 7 + 1, so 5 tokens, 4 words.
    documents = [{"title": "a b c d e", "text": "one two"}, {"title": "a", "text": "one two three four five"}]
    text = "Generate a headline for the following article: " + "x " * 22  # 29 words: 30 tokens
    found = prompt(LAMP_4, text, documents, 60)
    entries = '"a b c d e" is the title for "" , and "a" is the title for "one two three four" '
    assert found == f"{entries}. {text}"


def test_a_cut_to_one_leaves_an_empty_text():
    # room 33 − 15 = 18; share (18 − 12) // 2 = 3; each text: 3 − 2 = 1, the end token alone.
    found = prompt(LAMP_7, TWEET, tweets("one two", "three"), 33)
    assert found.startswith('"" , and ""  are written')


def test_where_a_cut_is_impossible_the_input_gives_way():
    # 31: with 0.6 (18) and 0.5 (15) the input's 15 count: share (16 − 12) // 2 = 2, nothing left; with 0.4 (12): 3.
    found = prompt(LAMP_7, TWEET, tweets("one two", "three"), 31)
    assert found == f'"" , and ""  are written by a person. Following the given patterns {TWEET}'


def test_the_last_resort_counts_no_input_at_all():
    # 18: with 0.1 (1) share (17 − 12) // 2 = 2, nothing left; with 0 share 3.
    assert prompt(LAMP_7, TWEET, tweets("one two", "three"), 18).startswith('"" , and "" ')


def test_entries_that_can_not_fit_leave_the_plain_input():
    assert prompt(LAMP_7, TWEET, tweets("one two", "three"), 17) == TWEET
    too_long = {"title": "word " * 600, "text": "short"}
    assert prompt(LAMP_6, "Generate a subject for the following email: hi", [too_long], 512).startswith("Generate")


def test_an_entry_that_can_not_fit_says_so():
    with pytest.raises(DoesNotFit, match="LaMP-7"):
        budget_entries(LAMP_7, tweets("one two"), room=12, tokenizer=Words())


def test_citations_cost_two_tokens_and_stand_after_the_first_title():
    # room 48 − 28 = 20; overhead 4; share 16 // 3 = 5: 2 words, "x", and with the one saved 3 words.
    found = prompt(LAMP_1, CITATION, [{"title": "a b c"}, {"title": "x"}, {"title": "p q r s"}], 48)
    assert found == CITATION.replace(' title "T"', ' title, and "a b", and "x", and "p q r" "T"')


def test_an_input_without_a_place_for_its_entries_is_refused():
    with pytest.raises(MissingMarker, match="title"):
        prompt(LAMP_1, '[1]: "A" [2]: "B"', [{"title": "a"}], 512)


def test_scholarly_entries_are_measured_in_words_of_their_own():
    # room 30 − 12 = 18; overhead 1 + 5; share 12; `"T" is a title " " ` has 6 words, 7 tokens: 5 are left, 4 words.
    found = prompt(LAMP_5, ABSTRACT, [{"title": "T", "abstract": "a b c d e f"}], 30)
    assert found == f'"T" is the title for "a b c d" . Following the given patterns {ABSTRACT}'


@pytest.mark.parametrize(
    ("task", "fields", "entry"),
    [
        # An input longer than its part: room 50 − 30 = 20, share 19, less the fixed words and two end tokens.
        (LAMP_2, {"description": "{}", "tag": "true story"}, 'the tag for the movie: "1 2 3 4 5 6 7" is "true story" '),
        (LAMP_2N, {"text": "{}", "category": "a & b"}, 'the category for the article: "1 2 3 4 5 6" is "a & b" '),
        (LAMP_3, {"text": "{}", "score": 4}, '4 is the score for "1 2 3 4 5 6 7 8 9 10" '),
        (LAMP_4, {"text": "{}", "title": "a b"}, '"a b" is the title for "1 2 3 4 5 6 7 8 9" '),
        (LAMP_6, {"text": "{}", "title": ""}, '"" is the title for "1 2 3 4 5 6 7 8 9 10" '),
    ],
)  # fmt: skip
def test_the_fixed_words_of_each_task(task, fields, entry):
    text = " ".join(map(str, range(1, 30)))
    document = {name: text if value == "{}" else value for name, value in fields.items()}
    assert prompt(task, LONG, [document], 50) == f"{entry}. {LONG}"


def test_a_field_far_longer_than_the_budget_is_cut_to_it():
    # room 512 − 307 = 205; overhead 10; share 195; 193 tokens, 192 words.
    long_input = TWEET + " x" * 600
    found = prompt(LAMP_7, long_input, tweets("w " * 10_000), 512)
    assert found.startswith('"' + " ".join(["w"] * 192) + '"  are written')
    assert found.endswith(long_input)


def test_values_with_braces_and_quotes_stand_as_they_are():
    document = {"title": '{input} "{entries}"', "text": "{title}"}
    text = "Generate a headline for the following article: {entries}"
    assert prompt(LAMP_4, text, [document], 512) == f'"{{input}} "{{entries}}"" is the title for "{{title}}" . {text}'


def test_repeated_documents_stand_repeatedly():
    assert prompt(LAMP_7, TWEET, tweets("hi", "hi"), 512).startswith('"hi" , and "hi"  are')


def test_the_part_of_the_input_is_what_int_of_the_product_gives():
    """Tenths in whole numbers equal `int(0.6 * L)`, and the factors made by taking 0.1 away again and again."""
    for budget in range(5000):
        factor = 0.6
        for tenths in range(6, -1, -1):
            assert tenths * budget // 10 == int(tenths / 10 * budget) == int(factor * budget)
            factor -= 0.1


WRITTEN = {
    "LaMP-1": ('"{title}"', None, "title"),
    "LaMP-2": (
        'the tag for the movie: "{description}" is "{tag}" ',
        'the tag for the movie: " " is "{tag}" ',
        "description",
    ),
    "LaMP-2N": (
        'the category for the article: "{text}" is "{category}" ',
        'the category for the article: " " is "{category}" ',
        "text",
    ),
    "LaMP-3": ('{score} is the score for "{text}" ', '{score} is the score for " " ', "text"),
    "LaMP-4": ('"{title}" is the title for "{text}" ', '"{title}" is the title for " " ', "text"),
    "LaMP-5": ('"{title}" is the title for "{abstract}" ', '"{title}" is a title " " ', "abstract"),
    "LaMP-6": ('"{title}" is the title for "{text}" ', '"{title}" is the title for " " ', "text"),
    "LaMP-7": ('"{text}" ', '"" ', "text"),
}
BETWEEN = {
    "LaMP-5": ". Following the given patterns ",
    "LaMP-7": " are written by a person. Following the given patterns ",
}
COUNTED = {"LaMP-5": "Following the given patterns", "LaMP-7": "are written by user. Following the given patterns"}


def straightforward(key, text, documents, tokenizer, budget):
    """The reference's §4 as a script would have it: the cut is the tokenizer's own truncation."""
    entry_form, fixed_form, cut = WRITTEN[key]

    def tok(words):
        return len(tokenizer(words)["input_ids"])

    for factor in (0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0):
        room = budget - min(tok(text), int(factor * budget))
        n = len(documents)
        overhead = 2 * (n - 1) + (0 if key == "LaMP-1" else 1) + (tok(COUNTED[key]) if key in COUNTED else 0)
        share, saved, entries = (room - overhead) // n, 0, []
        for document in documents:
            fixed = 2 if fixed_form is None else tok(fixed_form.format(**document))
            if share + saved - fixed < 1:
                break
            ids = tokenizer(document[cut], truncation=True, max_length=share + saved - fixed)["input_ids"]
            saved += share - len(ids) - fixed
            entries.append(entry_form.format(**document | {cut: tokenizer.decode(ids, skip_special_tokens=True)}))
        if len(entries) == n:
            joined = ", and ".join(entries)
            if key == "LaMP-1":
                place = text.index("title") + len("title")
                return text[:place] + ", and " + joined + text[place:]
            return joined + BETWEEN.get(key, ". ") + text
    return text


TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(["the", "lamp", "post's", '"title"', "💡", "&amp;", "{x}", "\t", "écrit"]), max_size=60
    ).map(" ".join),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CATALOGUE)), st.data())
def test_prompts_equal_a_straightforward_script_with_a_real_tokenizer(key, data):
    task = CATALOGUE[key]
    forms = st.fixed_dictionaries(dict.fromkeys(task.fields, TEXTS))
    documents = data.draw(st.lists(forms, min_size=1, max_size=5))
    text = input_of(task, {name: data.draw(TEXTS) for name in task.input.fields})
    budget = data.draw(st.integers(1, 300))
    found = build_prompt(task, text, documents, tokenizer=subwords(), max_input_tokens=budget)
    assert found == straightforward(key, text, documents, subwords(), budget)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CATALOGUE)), st.lists(st.integers(0, 80), min_size=1, max_size=6), st.integers(1, 400))
def test_entries_stay_within_their_room(key, sizes, room):
    """What the entries are counted at, with the prompt's own words, is never more than the room."""
    task, tokenizer = CATALOGUE[key], Words()
    documents = [dict.fromkeys(task.fields, "v " * size) for size in sizes]
    entry_form, fixed_form, cut = WRITTEN[key]
    try:
        entries = budget_entries(task, documents, room=room, tokenizer=tokenizer)
    except DoesNotFit:
        return
    counted = 2 * (len(sizes) - 1) + (0 if key == "LaMP-1" else 1)
    counted += len(tokenizer.encode(COUNTED[key])) if key in COUNTED else 0
    before, after = entry_form.split("{" + cut + "}")
    for entry, document in zip(entries, documents, strict=True):
        kept = entry.removeprefix(before.format(**document)).removesuffix(after.format(**document))
        assert document[cut].startswith(kept)
        counted += len(tokenizer.encode(kept))
        counted += 2 if fixed_form is None else len(tokenizer.encode(fixed_form.format(**document)))
    assert counted <= room
