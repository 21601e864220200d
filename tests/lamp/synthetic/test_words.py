import random
from itertools import combinations

from lamp.catalogue import get_task
from lamp.synthetic.words import Vocabulary, language, person, phrase, place


def words_of(vocabulary: Vocabulary) -> set[str]:
    return {*vocabulary.nouns, *vocabulary.adjectives, *vocabulary.verbs}


def test_no_two_subjects_or_tags_share_a_word():
    vocabularies = [words_of(each) for each in (*language().subjects, *language().tags.values())]
    assert not any(one & other for one, other in combinations(vocabularies, 2))
    assert sum(map(len, vocabularies)) > 2500


def test_every_tag_of_lamp_2_has_words():
    assert tuple(language().tags) == get_task("LaMP-2").labels


def test_names_and_phrases_can_be_spoken():
    rng = random.Random(1)
    assert person(rng).istitle()
    assert place(rng).istitle()
    adjective, noun = phrase(rng, language().subjects[0]).split()
    assert adjective in language().subjects[0].adjectives
    assert noun in language().subjects[0].nouns
