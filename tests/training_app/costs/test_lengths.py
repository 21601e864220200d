from training_app.costs.lengths import TokenSums, TrainingWork, sums_of, work_of_user

PAIRS = [(3, 2), (5, 1), (40, 7)]


def test_sums_add_up_however_the_pairs_are_divided():
    assert sums_of(PAIRS[:1]) + sums_of(PAIRS[1:]) == sums_of(PAIRS)


def test_a_repetition_multiplies():
    assert sums_of(PAIRS) * 3 == sums_of(PAIRS * 3)


def test_a_partial_batch_is_a_step_of_every_epoch():
    assert work_of_user([(3, 2)] * 17, epochs=50, batch_size=16).steps == 100


def test_every_epoch_sees_every_pair():
    assert work_of_user(PAIRS, epochs=4, batch_size=16).tokens == sums_of(PAIRS) * 4


def test_who_has_nothing_to_learn_from_has_no_adapter():
    assert work_of_user([], epochs=50, batch_size=16) == TrainingWork()
    assert sums_of([]) == TokenSums()


def test_users_add_up():
    both = work_of_user(PAIRS, epochs=2, batch_size=2) + work_of_user(PAIRS[:1], epochs=2, batch_size=2)
    assert (both.adapters, both.steps, both.tokens.pairs) == (2, 6, 8)
