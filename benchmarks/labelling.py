"""Speed of the labelling chain: its networks as ratios to the plain way, and photographs a second.

    OMP_WAIT_POLICY=passive python -m benchmarks.labelling --data data --photographs 200

`data` is the folder of a finished run with synthetic photographs. Plain means one picture at a time in fp32, as the
libraries do it by default: MTCNN looking for faces from 20 px on, networks in torch's default memory order,
scikit-learn's densities of the same mixtures. Both sides are measured in turn within one run, on some of the
photographs; ratios are those of medians. The chain is measured on all of them, from photographs on disk to shards on
disk, with an empty memo and everything that is loaded on the way. `params.yaml` gives batch sizes and precisions.
"""

import argparse
import copy
import cProfile
import math
import pstats
import tempfile
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture as Estimator
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.goals import Line, at_least, at_most, print_lines
from benchmarks.renderer import measure
from models.landmarks import LANDMARK_COUNT, five_points
from models.mixture import GaussianMixture, ycbcr_from_rgb
from pipelines.device import best_device
from pipelines.labelling.align import align_photographs, choose
from pipelines.labelling.detection import Face, FaceDetector
from pipelines.labelling.landmark_labels import label_landmarks, load_landmark_network
from pipelines.labelling.mouth import label_mouths
from pipelines.labelling.precision import in_precision, resolved_precision
from pipelines.labelling.segmentation import label_segments, load_segmenter
from pipelines.labelling.skin import SkinTable, label_skin
from pipelines.labelling.skin_mixture import SkinMixtures, load_skin_mixtures
from pipelines.labelling.truth import evenly_spread
from pipelines.params import Params
from pipelines.shards import ShardReader, ShardWriter, decode, read_rows, write_rows
from stages._params import load_params

NEAR = 0.25  # of the distance between the eyes: five points this close to the truth, in the mean, found the face
# What a stage spends its time on, by the functions of `pipelines` that do it.
PARTS = {
    "network": ("detect", "in_precision"),
    "decode": ("decode",),
    "encode": ("encode_jpeg", "encode_png"),
    "warp": ("warp_picture",),
    "load": ("prepare",),
    "tar": ("write",),
    "parquet": ("write_rows", "read_rows"),
}


def main() -> None:
    """Print goals beside measurements."""
    options = _options()
    params = load_params()
    print(f"{torch.get_num_threads()} threads, {best_device()}, {resolved_precision('auto')} where precision is auto")
    lines = [
        *skin_lines(options.data, options.sample, options.rounds),
        *detection_lines(options.data, params, options.photographs, options.sample, options.rounds),
        *segmentation_lines(options.data, params, options.sample, options.rounds),
        *landmark_lines(options.data, params, options.sample, options.rounds),
    ]
    seconds, parts = chain_seconds(options.data, params, options.photographs, options.chain_rounds)
    speed = options.photographs / sum(seconds.values())
    lines.append(at_least("chain, photographs a second", 12, speed))
    print_lines(lines)
    for stage, shares in parts.items():
        listed = ", ".join(f"{part} {1000 * value / options.photographs:.2f}" for part, value in shares.items())
        print(f"  {stage:<12}{1000 * seconds[stage] / options.photographs:7.2f} ms per photograph: {listed}")
    beside = 1 - sum(shares["network"] for shares in parts.values()) / sum(seconds.values())
    print(f"  {beside:.0%} of the chain's time is not network")


def skin_lines(data: Path, sample: int, rounds: int) -> list[Line]:
    """The table of colours against scikit-learn's densities."""
    mixtures, pictures = load_skin_mixtures(data / "weights/skin.json"), crops(data, sample)
    plain = plain_skin(mixtures)
    table = SkinTable(mixtures)
    unequal = sum(int((plain(picture) != table.probability(picture)).sum()) for picture in pictures)
    medians = measure(
        {
            "plain": lambda: [plain(picture) for picture in pictures],
            "table": lambda: [table.probability(picture) for picture in pictures],
            "new table": lambda: list(map(SkinTable(mixtures).probability, pictures)),
        },
        rounds,
    )
    return [
        at_least("skin: score_samples / table", 45, medians["plain"] / medians["table"]),
        at_most("skin: pixels with another 8-bit value", 0, unequal),
        at_least(
            f"skin: score_samples / table not yet filled, {sample} crops", 1, medians["plain"] / medians["new table"]
        ),
    ]


def plain_skin(mixtures: SkinMixtures) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """round(255 p) of a picture by scikit-learn."""
    skin, other = _estimator(mixtures.skin), _estimator(mixtures.other)
    prior = math.log(mixtures.prior) - math.log1p(-mixtures.prior)

    def label(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        points = ycbcr_from_rgb(torch.tensor(picture).reshape(-1, 3).double()).numpy()
        log_odds = prior + skin.score_samples(points) - other.score_samples(points)
        return np.round(255 / (1 + np.exp(-log_odds))).astype(np.uint8).reshape(picture.shape[:2])

    return label


def _estimator(mixture: GaussianMixture) -> Estimator:
    estimator = Estimator(len(mixture.weights))
    estimator.weights_, estimator.means_, estimator.covariances_ = (part.numpy() for part in mixture)
    estimator.precisions_cholesky_ = torch.linalg.inv(torch.linalg.cholesky(mixture.covariances)).mT.numpy()
    return estimator


def detection_lines(data: Path, params: Params, count: int, sample: int, rounds: int) -> list[Line]:
    """Our batches against MTCNN's defaults on a sample, and the faces that both find in `count` photographs."""
    reader, truth = ShardReader(data / "photographs"), read_rows(data / "truth").set_index("key")
    keys = [reader.keys[i] for i in evenly_spread(len(reader), count) if reader.keys[i] in truth.index]
    pictures = [_picture(reader, key) for key in keys]
    landmarks = torch.tensor(np.stack(truth.loc[keys, "landmarks"].tolist())).view(-1, LANDMARK_COUNT, 2)
    points = five_points(landmarks).numpy()
    mtcnn = MTCNN(keep_all=True, post_process=False, device=best_device())
    detector = FaceDetector(
        minimum_face_fraction=params.align.minimum_face_fraction,
        batch_size=params.align.batch_size,
        device=best_device(),
    )

    def plain(some: list[NDArray[np.uint8]]) -> list[list[Face]]:
        return [_faces(*mtcnn.detect(picture, landmarks=True)) for picture in some]

    found = [recall(faces, points, params) for faces in (plain(pictures), detector.detect(pictures))]
    timed = pictures[:sample]
    medians = measure({"plain": lambda: plain(timed), "ours": lambda: detector.detect(timed)}, rounds)
    return [
        at_least("detection: MTCNN's defaults / ours", 2.5, medians["plain"] / medians["ours"]),
        at_least(f"detection: faces found, MTCNN's defaults {found[0]:.3f}", round(found[0], 3), round(found[1], 3)),
    ]


def _faces(boxes: Any, confidences: Any, points: Any) -> list[Face]:
    arrays = () if boxes is None else (np.asarray(part, float) for part in (boxes, confidences, points))
    return [Face(*one) for one in zip(*arrays, strict=True)]


def recall(found: list[list[Face]], truth: NDArray[np.floating], params: Params) -> float:
    """Share of the photographs whose chosen face has its five points (B, 5, 2) near the true ones."""
    near = []
    for faces, points in zip(found, truth, strict=True):
        judged = choose(faces, params.align)[0]
        if judged.face is None or judged.reason:
            near.append(False)
            continue
        error = np.linalg.norm(judged.face.points - points, axis=-1).mean()
        near.append(bool(error < NEAR * np.linalg.norm(points[0] - points[1])))
    return float(np.mean(near))


def segmentation_lines(data: Path, params: Params, sample: int, rounds: int) -> list[Line]:
    """Our batches against the plain network, and the equal labels."""
    network, images = load_segmenter(data / "weights/segmenter"), _images(data, sample)
    plain = _plain(network)
    precision, size = resolved_precision(params.segment.precision), params.segment.batch_size
    expected = _in_batches(plain.segments, images.contiguous(), 1, "fp32")
    equal = (torch.cat(expected) == torch.cat(_in_batches(network.segments, images, size, precision))).float().mean()
    medians = measure(
        {
            "plain": lambda: _in_batches(plain.segments, images.contiguous(), 1, "fp32"),
            "ours": lambda: _in_batches(network.segments, images, size, precision),
        },
        rounds,
    )
    _print_floor("segmentation", network, images, medians["ours"])
    goal = 6 if torch.cpu.get_capabilities().get("amx_bf16", False) else 1.6
    return [
        at_least(f"segmentation: plain / ours, {precision}", goal, medians["plain"] / medians["ours"]),
        at_least("segmentation: share of equal labels", 0.993, float(equal)),
    ]


def landmark_lines(data: Path, params: Params, sample: int, rounds: int) -> list[Line]:
    """Our batches against the plain network, and the shift of the landmarks."""
    network, images = load_landmark_network(data / "weights/landmarks"), _images(data, sample)
    plain = _plain(network)
    precision, size = resolved_precision(params.landmarks.precision), params.landmarks.batch_size
    expected = torch.cat([guess.points for guess in _in_batches(plain.locate, images.contiguous(), 1, "fp32")])
    points = torch.cat([guess.points for guess in _in_batches(network.locate, images, size, precision)])
    medians = measure(
        {
            "plain": lambda: _in_batches(plain.locate, images.contiguous(), 1, "fp32"),
            "ours": lambda: _in_batches(network.locate, images, size, precision),
        },
        rounds,
    )
    _print_floor("landmarks", network, images, medians["ours"])
    shift = torch.linalg.vector_norm(points - expected, dim=-1).median()
    return [
        at_least(f"landmarks: plain / ours, {precision}", 3, medians["plain"] / medians["ours"]),
        at_most("landmarks: median shift (px)", 0.1, float(shift)),
    ]


def _plain(network: nn.Module) -> Any:
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def _in_batches(label: Callable[[Tensor], Any], images: Tensor, size: int, precision: str) -> list[Any]:
    return [in_precision(precision, label, batch) for batch in images.split(size)]


def _print_floor(name: str, network: nn.Module, images: Tensor, milliseconds: float) -> None:
    """The operations that a crop costs, and how many a second that makes."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(images[:1])
    operations = counter.get_total_flops() / 1e9
    print(f"  {name}: {operations:.2f} GFLOP a crop, {1000 * operations * len(images) / milliseconds:.0f} GFLOP/s")


def chain_seconds(
    data: Path, params: Params, count: int, rounds: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Seconds of each stage on `count` photographs, and of its parts, in the stage's median round."""
    measured: dict[str, list[tuple[float, dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        copy_photographs(data / "photographs", photographs, count, params.photographs.keys_per_shard)
        for number in range(rounds):
            root = Path(folder) / str(number)
            for stage, work in chain(photographs, data / "weights", root, params).items():
                profile = cProfile.Profile()
                start = time.perf_counter()
                profile.runcall(work)
                measured.setdefault(stage, []).append((time.perf_counter() - start, _parts(profile)))
    medians = {stage: sorted(results, key=itemgetter(0))[rounds // 2] for stage, results in measured.items()}
    return {stage: one[0] for stage, one in medians.items()}, {stage: one[1] for stage, one in medians.items()}


def chain(photographs: Path, weights: Path, root: Path, params: Params) -> dict[str, Callable[[], None]]:
    """The labelling stages of `dvc.yaml`, by name, to be called in turn."""
    aligned, segments, points, memo = root / "aligned", root / "segments", root / "landmarks", root / "memo"
    crop_size, own = params.camera.crop_size, params.landmarks.model_copy(update={"network": "own"})
    return {
        "align": lambda: align_photographs(photographs, aligned, params=params.align, crop_size=crop_size, memo=memo),
        "segment": lambda: label_segments(aligned, weights / "segmenter", segments, params=params.segment, memo=memo),
        "skin": lambda: label_skin(aligned, weights / "skin.json", root / "skin", memo=memo),
        "landmarks": lambda: label_landmarks(aligned, weights / "landmarks", points, params=own, memo=memo),
        "mouth": lambda: label_mouths(points, segments, root / "mouth", params=params.mouth, memo=memo),
    }


def copy_photographs(source: Path, output: Path, count: int, keys_per_shard: int) -> None:
    """A photographs folder with `count` photographs of another one."""
    reader, rows = ShardReader(source), read_rows(source)
    keys = [reader.keys[i] for i in evenly_spread(len(reader), count)]
    if len(keys) < count:
        raise ValueError(f"{source}: expected {count} photographs, got {len(keys)}; choose fewer with --photographs")
    with ShardWriter(output, keys_per_shard=keys_per_shard) as writer:
        for key in keys:
            writer.write(key, dict([_stored(reader, key)]))
    write_rows(output, rows[rows["key"].isin(keys)])


def _parts(profile: cProfile.Profile) -> dict[str, float]:
    """Seconds of each of PARTS, by what Python's profiler saw."""
    by_name: dict[str, float] = {}
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if "pipelines" in Path(file).parts:
            by_name[name] = by_name.get(name, 0.0) + cumulative
    return {part: sum(by_name.get(name, 0.0) for name in names) for part, names in PARTS.items()}


def crops(data: Path, count: int) -> list[NDArray[np.uint8]]:
    """Some of the aligned crops."""
    reader = ShardReader(data / "labels/aligned")
    return [decode(reader.read(reader.keys[i], "jpg")) for i in evenly_spread(len(reader), count)]


def _images(data: Path, count: int) -> Tensor:
    pictures = torch.from_numpy(np.stack(crops(data, count))).to(best_device())
    return (pictures.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def _picture(reader: ShardReader, key: str) -> NDArray[np.uint8]:
    return decode(_stored(reader, key)[1])


def _stored(reader: ShardReader, key: str) -> tuple[str, bytes]:
    """Suffix and bytes of a photograph."""
    try:
        return "jpg", reader.read(key, "jpg")
    except KeyError:
        return "png", reader.read(key, "png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=200, help="for the chain")
    parser.add_argument("--sample", type=int, default=32, help="photographs for the ratios")
    parser.add_argument("--rounds", type=int, default=7, help="of the ratios")
    parser.add_argument("--chain-rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
