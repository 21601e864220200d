from itertools import combinations, pairwise

import pytest

from lamp.catalogue import get_task
from lamp.metrics import evaluate, sample_scores
from lamp.synthetic.population import RECIPES, SMALLEST_PROFILE, SPLITS, people
from lamp.synthetic.reviews import likeliest_points

TASKS = tuple(RECIPES)


def crowd(task_key, *, users=30, seed=3, strength=1.0, drift=0.0, manners=0.0):
    numbers = range(1, users + 1)
    return list(people(task_key, users=numbers, seed=seed, strength=strength, drift=drift, manners=manners))


@pytest.mark.parametrize("task_key", TASKS)
def test_a_question_sees_only_documents_of_earlier_days(task_key):
    for person in crowd(task_key):
        for asked in person.questions:
            seen, unseen = person.documents[: asked.profile_size], person.documents[asked.profile_size :]
            assert len(seen) == asked.profile_size >= SMALLEST_PROFILE
            assert all(written.day < asked.day for written in seen)
            assert all(written.day > asked.day for written in unseen)


def test_a_user_owns_questions_in_several_splits_in_order_of_time():
    persons = crowd("LaMP-4", users=100)
    splits = [[asked.split for asked in person.questions] for person in persons]
    assert all("dev" in owned for owned in splits)
    assert {split for owned in splits for split in owned} == set(SPLITS)
    assert any(len(owned) > 2 for owned in splits)
    assert all(owned == sorted(owned, key=SPLITS.index) for owned in splits)
    assert all(earlier.day < later.day for person in persons for earlier, later in combinations(person.questions, 2))


def test_a_user_is_the_same_in_a_crowd_of_any_size():
    assert crowd("LaMP-2", users=3)[2] == crowd("LaMP-2", users=30)[2]


def test_users_of_other_seeds_and_tasks_are_other_people():
    mails = {"LaMP-6": "text", "LaMP-4": "text"}
    texts = [
        {written.fields[field] for person in crowd(task, seed=seed) for written in person.documents}
        for task, field in mails.items()
        for seed in (3, 4)
    ]
    assert not any(one & other for one, other in combinations(texts, 2))


def test_profile_sizes_follow_lamps_spread():
    sizes = [len(person.documents) for task in TASKS for person in crowd(task, users=60)]
    assert min(sizes) >= SMALLEST_PROFILE
    assert 12 < sum(sizes) / len(sizes) < 20
    assert max(sizes) > 40


@pytest.mark.parametrize("task_key", TASKS)
def test_texts_are_varied_and_short(task_key):
    field = get_task(task_key).variable_field
    texts = [written.fields[field] for person in crowd(task_key, users=60) for written in person.documents]
    assert len(set(texts)) > 0.95 * len(texts)
    assert len({word for text in texts for word in text.split()}) > 1500
    assert 5 < sum(len(text.split()) for text in texts) / len(texts) < 25


def test_some_documents_are_repeated():
    texts = [[written.fields["text"] for written in person.documents] for person in crowd("LaMP-7", users=60)]
    assert any(len(set(own)) < len(own) for own in texts)


def shared_words(task_key, *, strength):
    """Mean ROUGE-1 of an answer with the titles in the user's own profile and in the next user's."""
    task = get_task(task_key)
    field = "text" if task_key == "LaMP-7" else "title"
    persons = crowd(task_key, users=40, strength=strength)
    own, strange = [], []
    for person, stranger in pairwise(persons):
        gold = person.questions[0].output
        for writer, scores in ((person, own), (stranger, strange)):
            values = [sample_scores(task, written.fields[field], gold)["rouge-1"] for written in writer.documents]
            scores.append(max(values))
    return sum(own) / len(own), sum(strange) / len(strange)


@pytest.mark.parametrize("task_key", ["LaMP-4", "LaMP-5", "LaMP-6", "LaMP-7"])
def test_an_answer_resembles_the_users_own_documents_by_strength(task_key):
    own, strange = shared_words(task_key, strength=1.0)
    assert own > strange + 0.15
    own, strange = shared_words(task_key, strength=0.0)
    assert abs(own - strange) < 0.05


def known_tags(*, strength, manners=0.0):
    """Share of questions whose gold is a tag that the user has given before."""
    agreeing = []
    for person in crowd("LaMP-2", users=80, strength=strength, manners=manners):
        tags = {written.fields["tag"] for written in person.documents}
        agreeing += [asked.output in tags for asked in person.questions]
    return sum(agreeing) / len(agreeing)


def test_a_tag_is_one_the_user_gives_only_by_strength():
    assert known_tags(strength=1.0) > 0.9
    assert known_tags(strength=0.0) < 0.75
    assert known_tags(strength=1.0, manners=1.0) > 0.9
    assert known_tags(strength=0.0, manners=1.0) < 0.75


def test_reviewers_lean_to_one_side_by_strength():
    def spread(strength):
        means = [
            sum(int(written.fields["score"]) for written in person.documents) / len(person.documents)
            for person in crowd("LaMP-3", users=60, strength=strength)
        ]
        centre = sum(means) / len(means)
        return sum((mean - centre) ** 2 for mean in means) / len(means)

    assert spread(1.0) > 3 * spread(0.0)


def test_an_author_cites_what_is_near_their_own_papers():
    def nearer(strength):
        """Share of questions whose gold reference shares more words with the author's titles than the other one."""
        won = []
        for person in crowd("LaMP-1", users=300, strength=strength):
            own = {word for written in person.documents for word in written.fields["title"].lower().split()}
            for asked in person.questions:
                first, second = asked.input.split('[1]: "')[1].split('" [2]: "')
                shared = [len(own & set(reference.lower().rstrip('"').split())) for reference in (first, second)]
                if shared[0] != shared[1]:
                    won.append((asked.output == "[1]") == (shared[0] > shared[1]))
        return sum(won) / len(won)

    assert nearer(1.0) > 0.8
    assert 0.35 < nearer(0.0) < 0.65


def oracle_score(task_key, *, strength, users=150):
    """The first metric of answering as one who knows the users' traits."""
    task = get_task(task_key)
    asked = [asked for person in crowd(task_key, users=users, strength=strength) for asked in person.questions]
    answers = {one.question_id: one.oracle for one in asked}
    return evaluate(task, answers, {one.question_id: one.output for one in asked})[task.metrics[0].name]


@pytest.mark.parametrize("task_key", TASKS)
def test_one_who_knows_the_traits_is_always_right_where_they_decide_everything(task_key):
    assert oracle_score(task_key, strength=1.0) == (0.0 if task_key == "LaMP-3" else 1.0)


@pytest.mark.parametrize("task_key", TASKS)
def test_one_who_knows_the_traits_is_right_by_their_strength(task_key):
    sign = -1 if task_key == "LaMP-3" else 1
    scores = [sign * oracle_score(task_key, strength=strength) for strength in (0.0, 0.5, 0.9)]
    assert scores[0] + 0.05 < scores[1] < scores[2] - 0.05


def test_traits_that_decide_nothing_leave_the_oracle_an_even_chance_between_two_tags():
    assert 0.4 < oracle_score("LaMP-2", strength=0.0) < 0.6


def test_the_oracle_of_a_rating_knows_the_likeliest_leaning_only_as_well_as_its_strength_says():
    assert likeliest_points(3, 2, strength=1.0) == 5
    assert likeliest_points(3, 2, strength=0.0) == 3
    assert likeliest_points(3, 2, strength=0.3) == 4


def test_traits_move_with_drift_alone():
    assert all(person.character.early == person.character.late for person in crowd("LaMP-6", drift=0.0))
    moved = [person.character.early != person.character.late for person in crowd("LaMP-6", drift=1.0)]
    assert sum(moved) > 0.9 * len(moved)


def test_who_has_several_manners_has_them_side_by_side_or_one_after_the_other():
    persons = crowd("LaMP-6", users=200, manners=0.8)
    beside = [person for person in persons if person.character.voices]
    after = [person for person in persons if person.character.early != person.character.late]
    assert 0.3 < len(beside) / len(persons) < 0.5
    assert 0.3 < len(after) / len(persons) < 0.5
    assert not any(person.character.voices for person in after)


def opening_of(written):
    return " ".join(written.fields["title"].split()[:2])


def test_manners_side_by_side_belong_to_subjects_and_run_through_a_whole_life():
    for person in crowd("LaMP-4", users=20, manners=1.0):
        voices = person.character.voices
        assert all(len(set(voice["interests"])) == 1 for voice in voices)
        if voices:
            openings = [opening_of(written) for written in person.documents]
            half = len(openings) // 2
            assert set(openings) <= {voice["opening"] for voice in voices}
            assert len(openings) < 10 or set(openings[:half]) & set(openings[half:])


def test_one_manner_follows_another_on_one_subject():
    for person in crowd("LaMP-4", users=20, manners=1.0):
        early, late = person.character.early, person.character.late
        assert early["interests"] == late["interests"]
        assert len(set(early["interests"])) == 1
        if not person.character.voices:
            # A repeated document has the manner of its first time.
            first = {written.fields["text"]: written for written in reversed(person.documents)}
            for written in first.values():
                assert opening_of(written) == (early if written.day < person.change else late)["opening"]


def test_one_after_the_other_of_two_tags_first_the_one_and_then_the_other_is_given():
    for person in crowd("LaMP-2", users=20, manners=1.0):
        early, late = person.character.early["favourites"], person.character.late["favourites"]
        if not person.character.voices:
            assert (early.given, early.over) == (late.over, late.given)
            first = {written.fields["description"]: written for written in reversed(person.documents)}
            for written in first.values():
                assert written.fields["tag"] == (early if written.day < person.change else late).given


def test_side_by_side_each_of_three_tags_is_given_before_one_of_the_others():
    for person in crowd("LaMP-2", users=20, manners=1.0):
        preferences = [voice["favourites"] for voice in person.character.voices]
        assert {one.given for one in preferences} == {one.over for one in preferences}
        assert all(one.given != one.over for one in preferences)


@pytest.mark.parametrize("task_key", TASKS)
def test_one_who_knows_all_of_a_users_manners_is_always_right_where_they_decide_everything(task_key):
    task = get_task(task_key)
    asked = [asked for person in crowd(task_key, users=60, manners=1.0) for asked in person.questions]
    scores = evaluate(
        task, {one.question_id: one.oracle for one in asked}, {one.question_id: one.output for one in asked}
    )
    assert scores[task.metrics[0].name] == (0.0 if task_key == "LaMP-3" else 1.0)


@pytest.mark.parametrize("wrong", [{"strength": 1.1}, {"strength": -0.1}, {"drift": 2.0}, {"manners": 1.5}])
def test_strength_drift_and_manners_are_shares(wrong):
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        crowd("LaMP-1", users=1, **wrong)


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="LaMP-2N"):
        crowd("LaMP-2N", users=1)
