"""The segmentation network: trained where the truth is known, and the segments it sees in every crop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from models import augmentation
from models.augmentation import Movements, move_pictures, random_movements
from models.networks import segmenter as segmenter_module
from models.networks.segmenter import Segmenter, class_weights, weighted_cross_entropy
from models.segments import SEGMENT_INDEX, SEGMENTS
from pipelines.dataset import resized
from pipelines.device import best_device
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling import network_labels, precision
from pipelines.labelling.network_labels import labelled_batches
from pipelines.labelling.network_training import Forward, train_network
from pipelines.labelling.precision import resolved_precision
from pipelines.labelling.segment_truth import rows_with_segments
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.labelling.truth import SegmentedCrops, evenly_spread
from pipelines.params import LabellingParams, SegmenterTrainingParams, SegmentParams
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, encode_png, sha256_of, write_rows
from pipelines.weights import WEIGHTS, load_weights, read_description, save_weights

COUNTED_CROPS = 256  # enough to know how often each class occurs
LEAST_AGREEMENT = 0.993  # of the pixels, between bf16 and fp32
ROTATION_DEGREES, LOG_SCALE, SHIFT = 12.0, 0.15, 0.08  # augmentation; real crops lie less exactly than synthetic ones


def train_segmenter(aligned: Path, truth: Path, output: Path, *, params: SegmenterTrainingParams) -> None:
    """Train the segmentation network on the training crops whose segments are known, in the way `params.truth` says."""
    rows = rows_with_segments(aligned, truth, params.truth)
    dataset = SegmentedCrops(aligned, truth, rows, params.input_size)
    counts = _pixel_counts(dataset, torch.Generator().manual_seed(params.seed))
    torch.manual_seed(params.seed)
    segmenter = Segmenter(params.architecture, params.encoder, params.input_size)
    segmenter.set_prior(counts)
    segmenter.class_weights.copy_(class_weights(counts.sum(dim=(1, 2))))

    def loss_of(network: Forward, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        image, segments = _augmented(*batch, size=params.input_size, generator=generator)
        return weighted_cross_entropy(network(image), segments, segmenter.class_weights)

    history = train_network(segmenter, dataset, loss_of=loss_of, params=params, stage="train_segmenter")
    description = {
        "architecture": params.architecture,
        "encoder": params.encoder,
        "input_size": params.input_size,
        "classes": list(SEGMENTS),
        "truth": params.truth,
        "crops": len(rows),
    }
    save_weights(output, segmenter, description, history)


def load_segmenter(folder: Path) -> Segmenter:
    """The trained segmentation network, on the best device."""
    description = read_description(folder)
    if description["classes"] != list(SEGMENTS):
        raise ValueError(f"{folder}: made for other classes ({description['classes']}); run train_segmenter again")
    network = Segmenter(description["architecture"], description["encoder"], description["input_size"])
    load_weights(folder, network)
    return network.eval().to(best_device()).to(memory_format=torch.channels_last)


def label_segments(
    aligned: Path,
    weights: Path,
    output: Path,
    *,
    params: SegmentParams,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write the class number of each pixel of each crop."""
    wanted = resolved_precision(params.precision)
    fingerprint = {
        "stage": "segment",
        "weights": sha256_of(weights / WEIGHTS),
        "precision": wanted,
        "code": source_digest(__file__, segmenter_module.__file__, network_labels.__file__, precision.__file__),
    }

    step = _LabelSegments(aligned, weights, params.batch_size, wanted)
    rows = map_shards(step, {aligned: ()}, output, fingerprint=fingerprint, memo=memo, engine=engine)
    write_rows(output, rows)


@dataclass(frozen=True)
class _LabelSegments:
    aligned: Path
    weights: Path
    batch_size: int
    precision: Literal["fp32", "bf16"]

    def prepare(self) -> LabelShard:
        network, reader = load_segmenter(self.weights), ShardReader(self.aligned)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            batches = labelled_batches(
                network.segments, self.precision, _disagreement, reader=reader, keys=keys, batch_size=self.batch_size
            )
            for chunk, segments in batches:
                for key, mask in zip(chunk, segments.byte().cpu().numpy(), strict=True):
                    yield Item(key, {"png": encode_png(mask)}, {"key": key})

        return label_shard


def _disagreement(exact: Tensor, fast: Tensor) -> str:
    agreement = float((exact == fast).float().mean())
    return (
        "" if agreement >= LEAST_AGREEMENT else f"{agreement:.2%} of the pixels equal, expected {LEAST_AGREEMENT:.1%}"
    )


def _augmented(image: Tensor, segments: Tensor, *, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch moved, recoloured and partly covered; what is covered is background."""
    device = best_device()
    movements = _movements(len(image), generator)
    pictures = move_pictures(resized(image.to(device), size), movements, mode="bilinear")
    masks = move_pictures(segments.to(device)[:, None].float(), movements, mode="nearest")
    covered = augmentation.random_occlusions(len(image), size, generator).to(device)
    pictures = augmentation.cover(augmentation.change_colours(pictures, generator), covered, generator)
    masks = masks.masked_fill(covered, SEGMENT_INDEX["background"])
    return pictures.contiguous(memory_format=torch.channels_last), masks[:, 0].long()


def _movements(count: int, generator: torch.Generator) -> Movements:
    return random_movements(count, generator, rotation_degrees=ROTATION_DEGREES, log_scale=LOG_SCALE, shift=SHIFT)


def _pixel_counts(dataset: SegmentedCrops, generator: torch.Generator) -> Tensor:
    """How many of some moved crops show each class (10, S, S) at each pixel."""
    chosen = evenly_spread(len(dataset), COUNTED_CROPS)
    masks = torch.stack([dataset[index][1] for index in chosen]).float()[:, None]
    moved = move_pictures(masks, _movements(len(masks), generator), mode="nearest")[:, 0]
    return torch.stack([(moved == number).sum(dim=0) for number in range(len(SEGMENTS))]).float()
