"""Identity-balanced batches: how many of whom, the same from any iteration on, each crop of the right person."""

from collections import Counter
from itertools import islice
from pathlib import Path

import torch

from pipelines.dataset import Pictures
from pipelines.people_batches import BalancedBatches, Drawn, PeopleCrops, people_batches
from tests.recognizer_tree import COLOURS, recognizer_params, write_people

PARAMS = recognizer_params(people_per_batch=3, photographs_per_person=2, iterations=40)
PEOPLE = [[f"{name}-{number}" for number in range(3)] for name in COLOURS]


def test_a_batch_has_as_many_photographs_of_each_of_several_people() -> None:
    batches = list(BalancedBatches([5, 2, 9, 4, 3], PARAMS, first=0))
    assert len(batches) == 40
    for batch in batches:
        assert sorted(Counter(drawn.person for drawn in batch).values()) == [2, 2, 2]
        assert len({(drawn.person, drawn.photograph) for drawn in batch}) == 6
        assert all(drawn.photograph < [5, 2, 9, 4, 3][drawn.person] for drawn in batch)
    drawn = [drawn for batch in batches for drawn in batch]
    assert {drawn.person for drawn in drawn} == set(range(5))
    assert 0.35 < sum(drawn.mirrored for drawn in drawn) / len(drawn) < 0.65


def test_who_has_few_photographs_gives_them_all() -> None:
    batch = next(iter(BalancedBatches([2, 2], recognizer_params(photographs_per_person=5), first=0)))
    assert sorted((drawn.person, drawn.photograph) for drawn in batch) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_batch_follows_from_seed_and_iteration_alone() -> None:
    whole = list(BalancedBatches([5] * 6, PARAMS, first=0))
    later = BalancedBatches([5] * 6, PARAMS, first=30)
    assert list(later) == whole[30:] and len(later) == 10
    assert whole[0] != whole[1]
    other = BalancedBatches([5] * 6, PARAMS.model_copy(update={"seed": 99}), first=0)
    assert list(islice(other, 1)) != whole[:1]


def test_half_of_the_pictures_show_nothing_but_the_face_or_as_many_as_asked() -> None:
    for fraction in (0.0, 0.5, 1.0):
        params = PARAMS.model_copy(update={"face_only_fraction": fraction})
        drawn = [drawn for batch in BalancedBatches([5] * 6, params, first=0) for drawn in batch]
        share = sum(one.face_only for one in drawn) / len(drawn)
        assert abs(share - fraction) < (0.1 if fraction == 0.5 else 1e-9)


def test_a_crop_comes_with_its_person_and_as_it_was_drawn(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    crops = PeopleCrops(tmp_path / "aligned", tmp_path / "segments", PEOPLE)
    expected = Pictures(tmp_path / "aligned", ["cora-1"])[0]
    plain, person = crops[Drawn(2, 1, mirrored=False, face_only=False)]
    assert person == 2 and torch.equal(plain, expected)
    assert torch.equal(crops[Drawn(2, 1, mirrored=True, face_only=False)][0], expected.flip(-1))
    alone = crops[Drawn(2, 1, mirrored=False, face_only=True)][0]
    assert torch.equal(alone[:, 16:48, 16:48], expected[:, 16:48, 16:48])
    assert alone.dtype == torch.uint8 and alone.sum() == expected[:, 16:48, 16:48].sum()  # black around it


def test_loading_leaves_the_generator_of_torch_alone(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    before = torch.get_rng_state()
    batches = people_batches(tmp_path / "aligned", tmp_path / "segments", PEOPLE, PARAMS, first=7)
    pictures, identities = next(iter(batches))
    assert torch.equal(torch.get_rng_state(), before)
    assert pictures.shape == (6, 3, 64, 64) and pictures.dtype == torch.uint8
    assert identities.dtype == torch.int64
