"""Identity-balanced batches: how many of whom, the same from any iteration on, each crop of the right person."""

from collections import Counter
from itertools import islice
from pathlib import Path

import torch

from pipelines.dataset import Pictures
from pipelines.people_batches import BalancedBatches, Drawn, PeopleCrops, people_batches
from tests.recognizer_tree import COLOURS, recognizer_params, write_people

PARAMS = recognizer_params(people_per_batch=3, photographs_per_person=2, iterations=40)


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


def test_a_crop_comes_with_its_person_and_mirrored_when_asked(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    people = [[f"{name}-{number}" for number in range(3)] for name in COLOURS]
    crops = PeopleCrops(tmp_path, people)
    expected = Pictures(tmp_path, ["cora-1"])[0]
    plain, person = crops[Drawn(2, 1, mirrored=False)]
    assert person == 2 and torch.equal(plain, expected)
    assert torch.equal(crops[Drawn(2, 1, mirrored=True)][0], expected.flip(-1))


def test_loading_leaves_the_generator_of_torch_alone(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    people = [[f"{name}-{number}" for number in range(3)] for name in COLOURS]
    before = torch.get_rng_state()
    pictures, identities = next(iter(people_batches(tmp_path, people, PARAMS, first=7)))
    assert torch.equal(torch.get_rng_state(), before)
    assert pictures.shape == (6, 3, 64, 64) and pictures.dtype == torch.uint8
    assert identities.dtype == torch.int64
