"""The two colour mixtures behind the skin probability: fitted on crops whose segments are known, stored as JSON.

Published ones can take their place, for comparison (`fit_skin.mixtures`).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.mixture import GaussianMixture as Estimator
from threadpoolctl import threadpool_limits

from models.augmentation import change_colours
from models.landmarks import FIVE_POINT_TEMPLATE
from models.mixture import GaussianMixture, ycbcr_from_rgb
from models.segments import SEGMENT_INDEX
from pipelines.dataset import crops
from pipelines.labelling.published_mixtures import published_mixtures
from pipelines.labelling.truth import evenly_spread, true_segments
from pipelines.params import FitSkinParams
from pipelines.shards import ShardReader, decode
from pipelines.truth_rows import rows_with_truth

CLASSES = ("skin", "other")
SKIN_SEGMENTS = ("skin", "nose", "lips")  # a pale face in rosy light has the colours of lips
SAMPLED_CROPS = 400
TONE_GROUPS = 3  # thirds of the skin tones; each gives as many pixels, so that rare tones are not outvoted
VARIANCE_FLOOR = 1.0  # squared 8-bit levels: no component narrower than rounding


class SkinMixtures(NamedTuple):
    """What `skin_probability` needs; colours are YCbCr of 8-bit sRGB."""

    skin: GaussianMixture
    other: GaussianMixture
    prior: float


def fit_skin(aligned: Path, segments: Path, truth: Path, output: Path, *, params: FitSkinParams) -> None:
    """Write both mixtures: published ones, or fitted on the training crops."""
    if params.mixtures != "fitted":
        named = zip(CLASSES, published_mixtures(params.mixtures), strict=True)
        _save(output, {name: _numbers(*mixture) for name, mixture in named}, params, origin=params.mixtures)
        return
    source, colours = _colours_of_crops(aligned, segments, truth, params)
    _save(output, {name: _fit(colours[name], params) for name in CLASSES}, params, origin=source)


def _save(output: Path, mixtures: dict[str, Any], params: FitSkinParams, *, origin: str) -> None:
    document = {"colours": "YCbCr, BT.601 studio range", "from": origin, "prior": params.skin_prior, **mixtures}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=1) + "\n")


def _colours_of_crops(
    aligned: Path, segments: Path, truth: Path, params: FitSkinParams
) -> tuple[str, dict[str, NDArray[np.uint8]]]:
    """Colours of skin and of the rest by the true segments; where none is known, the predicted ones stand in.

    Returns which segments these were, and the colours (N, 3) of each class.
    """
    rows = rows_with_truth(aligned, truth, "train")
    source = "predicted segments" if rows.empty else "truth"
    if rows.empty:
        rows = crops(aligned, "train", "extra").assign(skin_tone_ita=0.0)
    truth_reader, segment_reader = ShardReader(truth), ShardReader(segments)

    def segments_of(row: pd.Series, size: int) -> NDArray[np.uint8]:
        if source == "truth":
            return true_segments(truth_reader, row, size=size, crop_size=size)
        return decode(segment_reader.read(row["key"], "png"))

    generator, cameras = np.random.default_rng(params.seed), torch.Generator().manual_seed(params.seed)
    pixels: dict[str, list[NDArray[np.uint8]]] = {"skin": [], "features": [], "background": []}
    reader, chosen = ShardReader(aligned), _balanced_over_tones(rows)
    for _, row in chosen.iterrows():
        picture = _recoloured(decode(reader.read(row["key"], "jpg")), cameras)
        for name, mask in _masks(segments_of(row, len(picture))).items():
            pixels[name].append(_sample(picture[mask], 2 * params.pixels // len(chosen) + 1, generator))
    others = [_gathered(pixels[name], params.pixels // 2, generator) for name in ("features", "background")]
    skin = _gathered(pixels["skin"], params.pixels, generator)
    return source, {"skin": skin, "other": np.concatenate(others)}


def load_skin_mixtures(path: Path) -> SkinMixtures:
    """What `fit_skin` wrote, in double precision."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no skin mixtures; run the stage fit_skin first")
    document = json.loads(path.read_text())
    skin, other = (
        GaussianMixture(**{name: torch.tensor(values, dtype=torch.float64) for name, values in document[part].items()})
        for part in CLASSES
    )
    return SkinMixtures(skin, other, document["prior"])


def _balanced_over_tones(rows: pd.DataFrame) -> pd.DataFrame:
    """As many crops of each third of the skin tones, light and dark."""
    ordered = rows.sort_values(["skin_tone_ita", "key"])
    groups = [ordered.iloc[part] for part in np.array_split(np.arange(len(ordered)), TONE_GROUPS) if len(part)]
    return pd.concat([group.iloc[evenly_spread(len(group), SAMPLED_CROPS // TONE_GROUPS)] for group in groups])


def _recoloured(picture: NDArray[np.uint8], cameras: torch.Generator) -> NDArray[np.uint8]:
    """The crop (H, W, 3) as another camera would show it: synthetic ones all have the same, photographs never do."""
    image = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    changed = (255 * change_colours(image, cameras)[0]).round().byte()
    return changed.permute(1, 2, 0).numpy()


def _masks(segments: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Where (H, W) each kind is taken; the background only above the eyes, because ears, necks and hands are skin."""
    skin = np.isin(segments, [SEGMENT_INDEX[name] for name in SKIN_SEGMENTS])
    background = segments == SEGMENT_INDEX["background"]
    above_eyes = np.arange(len(segments))[:, None] < FIVE_POINT_TEMPLATE[0][1] * len(segments)
    return {"skin": skin, "background": background & above_eyes, "features": ~(skin | background)}


def _sample(colours: NDArray[np.uint8], count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    return colours if len(colours) <= count else colours[generator.choice(len(colours), count, replace=False)]


def _gathered(parts: list[NDArray[np.uint8]], count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    return _sample(np.concatenate([part.reshape(-1, 3) for part in parts]), count, generator)


def _fit(colours: NDArray[np.uint8], params: FitSkinParams) -> dict[str, Any]:
    if len(colours) < 10 * params.components:
        raise ValueError(f"fit_skin: {len(colours)} pixels of one class are too few for {params.components} components")
    points = ycbcr_from_rgb(torch.from_numpy(colours).double()).numpy()
    estimator = Estimator(params.components, random_state=params.seed, reg_covar=VARIANCE_FLOOR)
    with threadpool_limits(1):  # threads would add up in another order each time
        estimator.fit(points)
    return _numbers(estimator.weights_, estimator.means_, estimator.covariances_)


def _numbers(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> dict[str, Any]:
    named = {"weights": weights, "means": means, "covariances": covariances}
    return {name: np.asarray(values, np.float64).round(6).tolist() for name, values in named.items()}
