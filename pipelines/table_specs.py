"""What each table shows: rows, columns, units, and captions that call synthetic data synthetic."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from models.picture_measures import SSIM_WINDOW_PX
from pipelines.identity_spread import SPREAD_MODES, TRUTH
from pipelines.mean_prediction import MEAN_PREDICTION
from pipelines.measure_specs import protocols_spec, vertex_errors_spec
from pipelines.methods import COMPARED_METHODS, JOINT, MEAN_FACE, PEERS, WSL_CONTROL
from pipelines.picture_scoring import COLOUR_ERROR, SQUARED_COLOUR_ERROR
from pipelines.score_splits import SKIN_TONES
from pipelines.tables import Column, TableSpec

_REAL_NAMES = {"micc": "MICC Florence 2D/3D", "facescape": "FaceScape", "aflw2000": "AFLW2000-3D"}


def table_specs(
    variants: tuple[str, ...],
    *,
    twins: Mapping[str, bool],
    synthetic_test: bool,
    protocol: str,
    initialization: str,
    remarks: Mapping[str, str] = MappingProxyType({}),
) -> list[TableSpec]:
    """Tables 1 to 5, and those beyond the paper.

    `twins` says which benchmarks are embedded twins, `initialization` what the regressor began with; `remarks` follow
    the names of the benchmarks.
    """
    photographs = f"{'synthetic' if synthetic_test else 'held-out'} test photographs"
    ablation = (*variants, MEAN_FACE)
    built = tuple(method for method in COMPARED_METHODS if method in ablation)
    compared = (*built, *PEERS)
    peers = frozenset(PEERS)
    names = {name: f"synthetic twin of {label}" if twins[name] else label for name, label in _REAL_NAMES.items()}
    data = {name: f"{label}{remarks.get(name, '')}" for name, label in names.items()}
    specs = [
        TableSpec(
            "table1_pixel_error",
            "Table 1: colour error between photograph and full rendering.",
            f"{photographs}; Euclidean distance of sRGB colours in 0..1 (of white and black: 1.73), over the pixels of"
            " face ∩ projected face",
            (Column(COLOUR_ERROR, "colour error", "", 3, squares=SQUARED_COLOUR_ERROR),),
            ablation,
            metrics_path="table1",
            spread="pixels, each photograph with the same weight",
        ),
        TableSpec(
            "table2_facescape_ablation",
            "Table 2: shape error of the ablation.",
            f"{data['facescape']}; {protocol}",
            (Column("all", "shape error", "mm"),),
            ablation if JOINT in ablation else _with_joint_row(ablation),
            frozenset({JOINT} - {*ablation}),
            metrics_path="table2/facescape",
        ),
        TableSpec(
            "table3_micc",
            "Table 3: shape error on MICC, meshes of a clip averaged.",
            f"{data['micc']}; {protocol}",
            _shape_columns("cooperative", "indoor", "outdoor"),
            compared,
            peers,
            metrics_path="table3/micc",
        ),
        TableSpec(
            "table4_facescape",
            "Table 4: shape error on FaceScape, meshes of all views averaged.",
            f"{data['facescape']}; {protocol}",
            _shape_columns("neutral", "mouth_stretch", "grin"),
            compared,
            peers,
            metrics_path="table4/facescape",
        ),
        TableSpec(
            "table5_aflw2000_mouth",
            "Table 5: error of the inner-mouth landmarks.",
            f"{data['aflw2000']}; mean distance of points 60 to 67 in pixels of the crop, and in % of the root of the"
            f" area of the 68 points' box; {_MOUTH_SCALES[twins['aflw2000']]}",
            (
                Column("px", "inner mouth", "px"),
                Column("box", "inner mouth", "% of box"),
                Column("mm", "inner mouth", "mm"),
                Column("printed", "inner mouth", "mm", measured=False),
            ),
            compared,
            peers,
            metrics_path="table5/aflw2000",
        ),
        TableSpec(
            "picture_measures",
            "Beyond the paper: likeness of photograph and full rendering.",
            f"{photographs}; PSNR and SSIM over face ∩ projected face, SSIM of the windows of {SSIM_WINDOW_PX} pixels"
            " inside it; identity distance: one minus the cosine of a recogniser's features of the two pictures,"
            " the recogniser of the training's identity loss, so that rows trained with it have an advantage",
            (
                Column("psnr", "PSNR", "dB"),
                Column("ssim", "SSIM", "", 3),
                Column("identity", "identity distance", "", 3),
            ),
            ablation,
        ),
        TableSpec(
            "truth_errors",
            "Beyond the paper: distance to the synthetic truth.",
            "synthetic test photographs; albedos over skin vertices, identity and expression over the visible mesh,"
            " landmarks and opening of the eyes in pixels of the crop; highlight leak: share of the true highlight in"
            " the diffuse albedo, 0 at best; mean prediction: the average of the true coefficients of the training"
            " photographs",
            _TRUTH_COLUMNS,
            (*ablation, MEAN_PREDICTION),
            metrics_path="truth",
        ),
        TableSpec(
            "identity_spread",
            "Beyond the paper: variance of the identity over people.",
            f"{photographs}, averaged for each person; variance over people of the first {SPREAD_MODES} identity"
            " coefficients, of which the prior's is 1: on average over the modes, and of the mode that varies least;"
            " samples are people",
            (Column("average", "variance", "", 3), Column("least", "variance of the least mode", "", 3)),
            (*variants, TRUTH),
            metrics_path="variance/identity",
        ),
        protocols_spec(data["micc"], built),
        vertex_errors_spec(data["facescape"], ablation),
        TableSpec(
            "skin_tones",
            "Beyond the paper: Tables 1 and 5 by skin tone.",
            "synthetic photographs; terciles of the individual typology angle of the true albedo; colour error, and"
            " inner-mouth error in pixels of the crop",
            tuple(
                Column(f"{what}_{tone}", f"{what} {tone}", unit, digits)
                for what, unit, digits in _SPLIT
                for tone in SKIN_TONES
            ),
            ablation,
            metrics_path="skin_tones",
        ),
    ]
    began = f"; the regressor began with {initialization}"
    return [replace(spec, caption=spec.caption + began + _control_text(spec.rows)) for spec in specs]


def _control_text(rows: tuple[str, ...]) -> str:
    if WSL_CONTROL not in rows:
        return ""
    return (
        "; the WSL control was trained here like full, without specular part and inner-mouth loss, as Deep3DFaceRecon"
        " models a picture; it is not that network"
    )


_MOUTH_SCALES = {  # of a twin, or not
    True: "in mm by the scale at which the twin was photographed, that at the depth of the face model's origin,"
    " about 2 cm from the lips at most",
    False: "photographs have no metric scale, so nothing is measured in mm",
}
_SPLIT = (("colour", "", 3), ("mouth", "px", 2))
_TRUTH_COLUMNS = (
    Column("diffuse", "diffuse albedo", "linear RGB", 3),
    Column("specular", "specular albedo", "linear RGB", 3),
    Column("light_direction", "light direction", "°", 1),
    Column("shininess", "shininess", "", 1),
    Column("pose", "pose", "°", 1),
    Column("expression", "expression", "mm"),
    Column("identity", "identity", "mm"),
    Column("landmarks", "landmarks", "px"),
    Column("eye_opening", "eye opening", "px"),
    Column("highlight_leak", "highlight leak", "", 3),
)


def _shape_columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, name.replace("_", " "), "mm") for name in names)


def _with_joint_row(rows: tuple[str, ...]) -> tuple[str, ...]:
    """With the paper's row without lmk and mouth, for which nothing was trained."""
    position = rows.index("no_mouth") + 1 if "no_mouth" in rows else len(rows) - 1
    return (*rows[:position], JOINT, *rows[position:])
