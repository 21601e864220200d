"""Dropout masks that belong to an adapter."""

import pytest
import torch

from workers.engine.dropout import DropoutRow, KeyedDropout, PackedDropout

MINE = DropoutRow(seed=5, step=2, row=1, probability=0.1)
CPU = torch.device("cpu")


def kept(rows: list[DropoutRow], *, projection: int = 3, length: int = 6) -> torch.Tensor:
    """Masks of rows of one length, [rows, length, features]."""
    packed = PackedDropout(KeyedDropout(rows, projections=18), [length] * len(rows))
    return packed.kept(projection, features=32, device=CPU).view(len(rows), length, 32).double()


def test_a_row_s_dropout_does_not_depend_on_its_neighbours_or_its_length():
    others = [DropoutRow(seed=9, step=7, row=row, probability=0.5) for row in range(3)]
    among = PackedDropout(KeyedDropout([*others, MINE], projections=18), [4, 1, 9, 11])
    assert torch.equal(among.kept(3, features=32, device=CPU)[14:20].double(), kept([MINE])[0])


@pytest.mark.parametrize(
    "other",
    [
        DropoutRow(seed=6, step=2, row=1, probability=0.1),
        DropoutRow(seed=5, step=3, row=1, probability=0.1),
        DropoutRow(seed=5, step=2, row=2, probability=0.1),
    ],
)
def test_seed_step_and_row_each_give_another_mask(other):
    assert not torch.equal(kept([MINE]), kept([other]))


def test_projections_have_masks_of_their_own():
    assert not torch.equal(kept([MINE], projection=3), kept([MINE], projection=4))


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_drops_its_share_and_rescales_the_rest(probability):
    rows = [DropoutRow(seed=seed, step=0, row=row, probability=probability) for seed in range(20) for row in range(16)]
    mask = kept(rows, length=40)
    assert float(mask.mean()) == pytest.approx(1 - probability, abs=0.003)
    assert KeyedDropout(rows, projections=1).scales == pytest.approx([1 / (1 - probability)] * len(rows), rel=1e-4)
    # Neighbouring tokens and features are independent of each other.
    centred = mask - mask.mean()
    assert abs(float((centred[:, 1:] * centred[:, :-1]).mean())) < 0.003
    assert abs(float((centred[..., 1:] * centred[..., :-1]).mean())) < 0.003


def test_each_row_has_its_own_probability_and_none_drops_nothing():
    rows = [DropoutRow(seed=1, step=0, row=row, probability=share) for row, share in enumerate((0.0, 0.2, 0.6))]
    mask = kept(rows, length=400)
    assert [round(float(row.mean()), 2) for row in mask] == pytest.approx([1.0, 0.8, 0.4], abs=0.02)
    assert KeyedDropout(rows, projections=1).scales[0] == 1.0


def test_a_probability_of_one_is_refused():
    with pytest.raises(ValueError, match="below 1"):
        kept([DropoutRow(seed=1, step=0, row=0, probability=1.0)])
