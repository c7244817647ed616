"""From predictions to scores, tables and metrics: Tables 1 to 5, and what only synthetic truth can tell."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from models.camera import Camera
from models.face_model import FaceModel
from models.icp import IcpSettings
from models.protocols import PROTOCOLS, Protocol
from pipelines.benchmarks.common import BENCHMARKS, TWIN, Sample, read_samples
from pipelines.benchmarks.twin_scale import crop_pixels_per_mm
from pipelines.data_remarks import data_remarks
from pipelines.dataset import crops
from pipelines.face_model_file import load_face_model
from pipelines.identity_spread import TRUTH, spread_scores
from pipelines.initialization import initialization_text
from pipelines.interval_files import write_intervals
from pipelines.intervals import interval_cells
from pipelines.mean_prediction import MEAN_PREDICTION, mean_prediction
from pipelines.methods import COMPARED_METHODS, MEAN_FACE
from pipelines.missing_samples import with_missing_samples
from pipelines.params import BenchmarksParams, EvaluateParams, IntervalsParams, RegressorParams
from pipelines.picture_scoring import COLOUR_ERROR, PICTURE_MEASURES, load_photograph_labels, picture_scores
from pipelines.score_splits import by_skin_tone, by_yaw, landmark_yaws, true_yaws
from pipelines.scoring import MethodPredictions, joined, mouth_scores
from pipelines.shape_scoring import ShapeScoring, protocol_scores, shape_scores
from pipelines.split_specs import SPLIT_BY_SKIN_TONE, split_specs
from pipelines.table_files import write_table
from pipelines.table_specs import table_specs
from pipelines.tables import BY_SKIN_TONE, BY_YAW, NO_PAPER, TableSpec, build_cells, metrics_tree, read_paper
from pipelines.truth_rows import rows_with_truth
from pipelines.truth_scoring import truth_scores
from pipelines.vertex_scoring import vertex_scores

Scores = dict[str, pd.DataFrame]
# Where the samples of a table come from; Table 1's are the test photographs.
_SAMPLES_OF = {
    "table2_facescape_ablation": "facescape",
    "table3_micc": "micc",
    "table4_facescape": "facescape",
    "table5_aflw2000_mouth": "aflw2000",
}


class EvaluationInputs(NamedTuple):
    """Folders and settings of an evaluation."""

    face_model: Path
    labels: Path
    truth: Path
    benchmarks: Path
    predictions: Path
    recognizer: Path
    paper: Path
    variants: tuple[str, ...]
    params: EvaluateParams
    interval_params: IntervalsParams
    benchmark_params: BenchmarksParams
    regressor_params: RegressorParams
    camera: Camera
    crop_size: int

    @property
    def protocol(self) -> Protocol:
        """The shape-error protocol of Tables 2 to 4."""
        return PROTOCOLS[self.params.protocol]

    def shape_scoring(self, benchmark: str, model: FaceModel) -> ShapeScoring:
        """What the shape scores of a benchmark share."""
        icp = IcpSettings(self.params.iterations, self.params.kept_fraction)
        return ShapeScoring(self.benchmarks / benchmark, model, icp)


def evaluate(inputs: EvaluationInputs, *, scores: Path, tables: Path, metrics: Path) -> None:
    """Score every method, then write scores, tables and metrics."""
    found = all_scores(inputs)
    scores.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        table.to_parquet(scores / f"{name}.parquet", index=False)
    write_tables(inputs, found, tables=tables, metrics=metrics)


def all_scores(inputs: EvaluationInputs) -> Scores:
    """The scores of every table, by the table's name."""
    model = load_face_model(inputs.face_model)
    methods = [MethodPredictions(name, inputs.predictions / name) for name in (*inputs.variants, MEAN_FACE)]
    compared = [method for method in methods if method.method in COMPARED_METHODS]
    labels = load_photograph_labels(inputs.labels, inputs.recognizer)
    pictures = joined(
        picture_scores(one, labels, model=model, camera=inputs.camera, crop_size=inputs.crop_size) for one in methods
    )
    beyond = pictures["column"].isin(PICTURE_MEASURES)
    aflw2000 = inputs.benchmarks / "aflw2000"
    scale = crop_pixels_per_mm(aflw2000, read_samples(aflw2000))
    mouth = joined(
        mouth_scores(one, aflw2000, model=model, camera=inputs.camera, crop_size=inputs.crop_size, pixels_per_mm=scale)
        for one in compared
    )
    truth = rows_with_truth(inputs.labels / "aligned", inputs.truth, "test", "extra").set_index("key")
    ablation = _shapes(inputs, methods, "facescape", model, of_ablation=True).assign(column="all")
    scores = {
        "table1_pixel_error": pictures[~beyond],
        "picture_measures": pictures[beyond],
        "table2_facescape_ablation": ablation,
        "table3_micc": _shapes(inputs, compared, "micc", model, of_ablation=False),
        "table4_facescape": _shapes(inputs, compared, "facescape", model, of_ablation=False),
        "table5_aflw2000_mouth": mouth,
        "truth_errors": joined(
            truth_scores(name, table, truth, model=model, camera=inputs.camera, crop_size=inputs.crop_size)
            for name, table in _with_mean_prediction(inputs, methods, truth)
        ),
        "protocols": _all_protocols(inputs, compared, model),
        "vertex_errors": vertex_scores(
            methods,
            inputs.benchmarks / "facescape",
            _samples(inputs, "facescape", of_ablation=True),
            model=model,
            icp_scores=ablation,
        ),
        "identity_spread": _identity_spreads(inputs, methods, truth),
    }
    return scores | _split_scores(inputs, scores, truth, model)


def _split_scores(inputs: EvaluationInputs, scores: Scores, truth: pd.DataFrame, model: FaceModel) -> Scores:
    """Scores of Tables 1 to 5 by skin tone, and of Tables 1 and 5 by yaw."""
    samples = {name: read_samples(inputs.benchmarks / name) for name in BENCHMARKS}
    tones = {name: {one.sample: one.skin_tone_ita for one in found} for name, found in samples.items()}
    colour, mouth = scores["table1_pixel_error"], scores["table5_aflw2000_mouth"]
    yaws = landmark_yaws(samples["aflw2000"], model=model, camera=inputs.camera, crop_size=inputs.crop_size)
    both = [
        by_skin_tone(
            colour[colour["column"] == COLOUR_ERROR].assign(column="colour"),
            dict(truth["skin_tone_ita"]) if len(truth) else {},
        ),
        by_skin_tone(mouth[mouth["column"] == "px"].assign(column="mouth"), tones["aflw2000"]),
    ]
    shapes = {name + BY_SKIN_TONE: by_skin_tone(scores[name], tones[_SAMPLES_OF[name]]) for name in SPLIT_BY_SKIN_TONE}
    return {
        "skin_tones": joined(both),
        **shapes,
        f"table1_pixel_error{BY_YAW}": by_yaw(colour, true_yaws(truth)),
        f"table5_aflw2000_mouth{BY_YAW}": by_yaw(mouth, yaws),
    }


def _with_mean_prediction(
    inputs: EvaluationInputs, methods: Sequence[MethodPredictions], truth: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and coefficients of every method that can be compared with the truth; none without truth."""
    if truth.empty:
        return
    tables = {one.method: one.coefficients("test") for one in methods}
    yield from tables.items()
    training = rows_with_truth(inputs.labels / "aligned", inputs.truth, "train")
    if len(training):
        yield MEAN_PREDICTION, mean_prediction(training, "test", tables[MEAN_FACE]["key"].tolist())


def _identity_spreads(
    inputs: EvaluationInputs, methods: Sequence[MethodPredictions], truth: pd.DataFrame
) -> pd.DataFrame:
    tested = crops(inputs.labels / "aligned", "test")
    spreads = [
        spread_scores(one.method, one.coefficients("test"), tested) for one in methods if one.method != MEAN_FACE
    ]
    return joined([*spreads, spread_scores(TRUTH, truth.reset_index(), tested)])


def _shapes(
    inputs: EvaluationInputs,
    methods: Sequence[MethodPredictions],
    benchmark: str,
    model: FaceModel,
    *,
    of_ablation: bool,
) -> pd.DataFrame:
    samples = _samples(inputs, benchmark, of_ablation=of_ablation)
    scoring = inputs.shape_scoring(benchmark, model)
    return joined(shape_scores(one, samples, scoring=scoring, protocol=inputs.protocol) for one in methods)


def _all_protocols(inputs: EvaluationInputs, methods: Sequence[MethodPredictions], model: FaceModel) -> pd.DataFrame:
    samples, protocols = _samples(inputs, "micc", of_ablation=False), list(PROTOCOLS.values())
    scoring = inputs.shape_scoring("micc", model)
    return joined(protocol_scores(one, samples, scoring=scoring, protocols=protocols) for one in methods)


def _samples(inputs: EvaluationInputs, benchmark: str, *, of_ablation: bool) -> list[Sample]:
    samples = read_samples(inputs.benchmarks / benchmark)
    return [one for one in samples if (one.ablation if of_ablation else one.comparison)]


def write_tables(inputs: EvaluationInputs, scores: Scores, *, tables: Path, metrics: Path) -> None:
    """Average the scores into tables and metrics."""
    tested = crops(inputs.labels / "aligned", "test")
    specs = table_specs(
        inputs.variants,
        twins={name: getattr(inputs.benchmark_params, name) == TWIN for name in BENCHMARKS},
        synthetic_test=bool(tested["synthetic"].all()),
        protocol=f"protocol '{inputs.params.protocol}' ({inputs.protocol.description})",
        initialization=initialization_text(inputs.regressor_params),
        remarks=data_remarks(inputs.benchmarks, inputs.benchmark_params),
    )
    specs = with_missing_samples(specs, scores)
    paper = read_paper(inputs.paper)
    cells = {spec.name: build_cells(spec, scores[spec.name], paper.get(spec.name, NO_PAPER)) for spec in specs}
    shutil.rmtree(tables, ignore_errors=True)
    for spec in specs:
        write_table(tables, spec, cells[spec.name], paper.get(spec.name, NO_PAPER))
    _write_details(inputs, specs, scores, tables)
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(metrics_tree(specs, cells), indent=1, sort_keys=True) + "\n")


def _write_details(inputs: EvaluationInputs, specs: Sequence[TableSpec], scores: Scores, folder: Path) -> None:
    """Write, beside the tables, those split by skin tone and yaw, and the paper's five with confidence intervals."""
    for spec in split_specs(specs):
        write_table(folder, spec, build_cells(spec, scores[spec.name], NO_PAPER), NO_PAPER)
    subjects = _subjects(inputs)
    for spec in (spec for spec in specs if spec.name in subjects):
        cells = interval_cells(spec, scores[spec.name], subjects[spec.name], inputs.interval_params)
        write_intervals(folder, spec, cells, inputs.interval_params)


def _subjects(inputs: EvaluationInputs) -> dict[str, Mapping[str, str]]:
    """Whom each sample shows, by table; a photograph without an identity shows a person of its own."""
    tested = crops(inputs.labels / "aligned", "test")
    people = tested["identity"].where(tested["identity"] != "", tested["key"])
    benchmarks = {
        table: {sample.sample: sample.subject for sample in read_samples(inputs.benchmarks / name)}
        for table, name in _SAMPLES_OF.items()
    }
    return {"table1_pixel_error": dict(zip(tested["key"], people, strict=True)), **benchmarks}
