import itertools
import multiprocessing
import threading
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from models.losses import photometric_loss
from models.segments import SEGMENT_INDEX
from pipelines.dataset import (
    Batch,
    EndlessSampler,
    LabelledCrops,
    Pictures,
    crops,
    endless_batches,
    landmarks_by_key,
    prefetched,
    prepare,
    resized,
)
from pipelines.recognizer_file import load_features
from tests.label_tree import SIZE, write_aligned, write_label_tree


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_label_tree(root)
    return root


def _dataset(root: Path) -> LabelledCrops:
    keys = crops(root / "labels/aligned", "train")["key"].tolist()
    return LabelledCrops(root / "labels", keys, load_features(root / "labels/features"))


def test_batches_hold_every_label(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of tensors over memory that must not be written
        batch = next(iter(endless_batches(_dataset(root), 4, EndlessSampler(6, 0))))
    assert isinstance(batch, Batch)
    assert batch.image.shape == (4, 3, SIZE, SIZE) and batch.image.dtype == torch.uint8
    for mask in (batch.segments, batch.skin, batch.mouth):
        assert mask.shape == (4, 1, SIZE, SIZE) and mask.dtype == torch.uint8
    assert batch.landmarks.shape == (4, 68, 2) and batch.landmarks.dtype == torch.float32
    assert batch.features.shape == (4, 8) and batch.features.dtype == torch.float32


def test_labels_of_a_key_belong_together(root: Path) -> None:
    dataset = _dataset(root)
    landmarks, features = landmarks_by_key(root / "labels/landmarks"), load_features(root / "labels/features")
    for index, key in enumerate(dataset.pictures.keys):
        item = dataset[index]
        np.testing.assert_array_equal(item.landmarks.numpy(), landmarks[key])
        np.testing.assert_array_equal(item.features.numpy(), features[key])
        covered = item.segments[0] > 0
        assert item.image.float().mean(dim=0)[covered].mean() > 20 * item.image.float().mean(dim=0)[~covered].mean()


def test_prepared_masks_follow_the_segments(root: Path) -> None:
    batch = next(iter(endless_batches(_dataset(root), 6, EndlessSampler(6, 0))))
    prepared = prepare(batch, SIZE)
    torch.testing.assert_close(prepared.image, batch.image / 255)
    torch.testing.assert_close(prepared.face, (batch.segments == SEGMENT_INDEX["skin"]).float())
    torch.testing.assert_close(prepared.skin, batch.skin / 255)
    assert prepared.mouth.max() == 1
    assert ((prepared.face == 1) & (prepared.mouth == 1)).sum() == 0  # the inner mouth is no surface of the face


def test_a_mouth_is_visible_where_nothing_hides_the_face(root: Path) -> None:
    batch = next(iter(endless_batches(_dataset(root), 6, EndlessSampler(6, 0))))
    prepared = prepare(batch, SIZE)
    mouth = prepared.mouth == 1
    assert (prepared.mouth_visible[mouth] == 1).all()
    batch.segments[mouth] = SEGMENT_INDEX["background"]  # a hand, say
    hidden = prepare(batch, SIZE)
    assert (hidden.mouth_visible[mouth] == 0).all()
    torch.testing.assert_close(hidden.mouth_visible[~mouth], prepared.face[~mouth])


def test_smaller_pictures_keep_their_mean(root: Path) -> None:
    batch = next(iter(endless_batches(_dataset(root), 6, EndlessSampler(6, 0))))
    prepared = prepare(batch, SIZE // 2)
    assert prepared.image.shape[-2:] == prepared.mouth.shape[-2:] == (SIZE // 2, SIZE // 2)
    assert prepared.image.mean().item() == pytest.approx(batch.image.float().mean().item() / 255, rel=0.02)
    assert prepared.mouth.mean().item() == pytest.approx(batch.mouth.float().mean().item() / 255, rel=0.05)
    assert set(prepared.face.unique().tolist()) == {0.0, 1.0}
    assert resized(batch.image, 32).max() <= 1


def test_crops_leaves_out_rejected_and_other_splits(tmp_path: Path) -> None:
    pictures = {key: np.zeros((8, 8, 3), np.uint8) for key in ("d", "c", "b", "a")}
    split, status = ["train", "test", "train", "train"], ["kept", "kept", "rejected", "kept"]
    write_aligned(tmp_path, pictures, split=split, status=status)
    assert crops(tmp_path, "train")["key"].tolist() == ["a", "d"]
    assert crops(tmp_path, "test", "train")["key"].tolist() == ["a", "c", "d"]
    assert Pictures(tmp_path, ["c"])[0].shape == (3, 8, 8)


def test_each_epoch_shows_every_picture_once_in_another_order() -> None:
    indices = list(itertools.islice(EndlessSampler(10, 3), 30))
    epochs = [indices[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_comes_from_the_seed_alone() -> None:
    first, again, other = (list(itertools.islice(EndlessSampler(50, seed), 60)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("rank", [0, 1])
def test_a_training_goes_on_where_the_order_was_left(rank: int) -> None:
    whole = list(itertools.islice(EndlessSampler(7, 1, rank=rank, ranks=2), 25))
    assert list(itertools.islice(EndlessSampler(7, 1, rank=rank, ranks=2, skipped=11), 14)) == whole[11:]


def test_batches_leave_the_global_generator_alone(root: Path) -> None:
    torch.manual_seed(3)
    next(iter(endless_batches(_dataset(root), 2, EndlessSampler(6, 0))))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


def test_processes_share_the_pictures() -> None:
    alone = list(itertools.islice(EndlessSampler(7, 1), 28))
    shares = [list(itertools.islice(EndlessSampler(7, 1, rank=rank, ranks=2), 14)) for rank in range(2)]
    assert [index for pair in zip(*shares, strict=True) for index in pair] == alone


def test_no_photographs_is_said() -> None:
    with pytest.raises(ValueError, match="no photograph left to train on"):
        EndlessSampler(0, 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_made_ahead_are_the_same(root: Path, workers: int) -> None:
    dataset = _dataset(root)
    alone = list(itertools.islice(endless_batches(dataset, 4, EndlessSampler(6, 1)), 3))
    threads = set(threading.enumerate())
    with closing(prefetched(endless_batches(dataset, 4, EndlessSampler(6, 1), workers=workers))) as batches:
        for expected in alone:
            found = next(batches)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert multiprocessing.active_children() if workers else set(threading.enumerate()) - threads
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=30)  # the thread that feeds a worker is told to end, not waited for
        assert not thread.is_alive()
    assert not multiprocessing.active_children()


def test_the_next_batch_is_made_while_the_present_one_is_used(root: Path) -> None:
    asked = threading.Event()

    class Watched(LabelledCrops):
        def __getitem__(self, index: int) -> Batch:
            if index == 1:
                asked.set()
            return super().__getitem__(index)

    keys = crops(root / "labels/aligned", "train")["key"].tolist()
    dataset = Watched(root / "labels", keys, load_features(root / "labels/features"))
    with closing(prefetched(DataLoader(dataset, sampler=itertools.count()))) as batches:
        next(batches)
        assert asked.wait(timeout=30)


def test_a_picture_that_cannot_be_read_ends_the_training(root: Path) -> None:
    dataset = _dataset(root)
    dataset.pictures.keys[3] = "missing"
    with closing(prefetched(endless_batches(dataset, 6, EndlessSampler(6, 0)))) as batches, pytest.raises(KeyError):
        next(batches)


def test_colours_do_not_close_an_eye_that_is_rendered_beside_its_place() -> None:
    """The need for the deviation from Eq. 8: with the eyes in I_face a closed lid is the nearer rendering."""
    size = 224
    photograph, shifted, closed = (torch.full((1, 3, size, size), 0.6) for _ in range(3))
    segments = torch.full((1, 1, size, size), SEGMENT_INDEX["skin"], dtype=torch.uint8)
    photograph[..., 100:103, 80:110], shifted[..., 102:105, 80:110] = 0.2, 0.2
    segments[..., 100:103, 80:110] = SEGMENT_INDEX["eyes"]
    image = (photograph * 255).round().byte()
    batch = Batch(image, segments, segments, segments, torch.zeros(1, 68, 2), torch.zeros(1, 8))
    prepared, everything = prepare(batch, size), torch.ones(1, 1, size, size)

    def colours(rendered: torch.Tensor, mask: torch.Tensor) -> float:
        return photometric_loss(prepared.image, rendered, rendered, mask, everything, full_weight=1.0).item()

    assert colours(closed, everything) < 0.8 * colours(shifted, everything)
    assert colours(closed, prepared.face) == pytest.approx(colours(shifted, prepared.face), rel=1e-3)
