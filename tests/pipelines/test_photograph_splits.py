"""Who is in the test set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.photographs.splits import split_identities

PEOPLE = [f"person {number}" for number in range(2000)]
Photographs = list[str]  # the identity of each

photographs = st.lists(st.sampled_from(PEOPLE[:40]), min_size=1, max_size=120)
seeds = st.integers(0, 10)


def _split(
    identities: Photographs, *, seed: int = 1, fraction: float = 0.1, test_photographs: int = 0
) -> dict[str, str]:
    return split_identities(
        identities,
        test_fraction=fraction,
        validation_fraction=0.05,
        seed=seed,
        test_photographs=test_photographs,
    )


def _count(split: dict[str, str], identities: Photographs, part: str) -> int:
    return sum(split[identity] == part for identity in identities)


def test_parts_have_one_identity_each_when_there_are_enough() -> None:
    for count, expected in ((1, (0, 0, 1)), (2, (1, 0, 1)), (3, (1, 1, 1)), (40, (4, 2, 34))):
        parts = list(_split(PEOPLE[:count] * 2).values())
        assert tuple(parts.count(name) for name in ("test", "validation", "train")) == expected


@given(photographs, seeds)
def test_the_split_is_one_of_people_whatever_their_order(identities: Photographs, seed: int) -> None:
    split = _split(identities, seed=seed)
    assert set(split) == set(identities)
    assert split == _split(identities[::-1] * 2, seed=seed)


def test_the_split_follows_the_seed() -> None:
    assert len({tuple(sorted(_split(PEOPLE[:50], seed=seed).items())) for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", range(10))
def test_one_per_cent_more_people_change_the_part_of_hardly_any_other(seed: int) -> None:
    before, after = _split(PEOPLE[20:], seed=seed), _split(PEOPLE, seed=seed)
    moved = sum(before[name] != after[name] for name in before)
    assert moved <= 10  # of 1980: the ends of two parts, each moved by the newcomers that fall before it


@given(photographs, seeds, st.data())
def test_people_join_the_test_part_until_it_has_its_photographs(
    identities: Photographs, seed: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, max(1, len(identities) // 2)))
    if 2 * wanted > len(identities):
        return
    split = _split(identities, seed=seed, test_photographs=wanted)
    tested = {name for name, part in split.items() if part == "test"}
    largest = max(identities.count(name) for name in tested) if tested else 0
    assert "train" in split.values()
    if len(set(identities)) - len(tested) > 1:
        assert wanted <= _count(split, identities, "test") < wanted + largest


def test_without_identities_the_test_part_is_exact() -> None:
    split = _split(PEOPLE, test_photographs=123)
    assert list(split.values()).count("test") == 123


@given(seeds)
def test_more_test_photographs_keep_those_that_were_there(seed: int) -> None:
    few, many = (_split(PEOPLE[:200], seed=seed, test_photographs=count) for count in (20, 30))
    assert {name for name in few if few[name] == "test"} < {name for name in many if many[name] == "test"}


def test_a_test_part_that_leaves_less_for_training_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"test_photographs: 6 of 10 photographs is more than half"):
        _split(PEOPLE[:10], test_photographs=6)
