"""An embedded twin of FaceScape's multi-view data in its own layout: expressions, several views, meshes."""

import json
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.camera import rotation_from_euler
from pipelines.benchmarks.read_facescape import COMPARED, EXPRESSIONS, TU_LANDMARKS, Sizes, file_stem
from pipelines.benchmarks.scans import scanned, write_mesh
from pipelines.benchmarks.studio import Setting, Studio, Subject, TwinPlan, run_jobs, save_photograph, setting_light
from pipelines.synthetic.light import Light
from pipelines.synthetic.view import View

_BENCHMARK = 2
_WIDEST_VIEW_DEGREES = 40.0  # to each side; farther round no face detector sees a face
_MM_PER_UNIT = (80.0, 160.0)  # of the arbitrary frame that structure from motion leaves
_SETTING = Setting(0, 3, 2, "ambient", 1.0, (0.55, 0.68), blur_px=0.0, resolution=1.0, noise=0.003)

# Activations of the face model's actions for each of the data set's expressions.
ACTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.5},
    "mouth_stretch": {"jawOpen": 0.9, "mouthStretch": 0.4},
    "anger": {"browDown": 0.9, "mouthPress": 0.5, "noseSneer": 0.4},
    "jaw_left": {"jawLeft": 0.8},
    "jaw_right": {"jawLeft": -0.8},
    "jaw_forward": {"jawForward": 0.9},
    "mouth_left": {"mouthLeft": 0.8},
    "mouth_right": {"mouthLeft": -0.8},
    "dimpler": {"mouthDimple": 0.9},
    "chin_raiser": {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.4},
    "lip_puckerer": {"mouthPucker": 0.9},
    "lip_funneler": {"mouthFunnel": 0.9, "jawOpen": 0.15},
    "sadness": {"mouthFrown": 0.8, "browInnerUp": 0.7},
    "lip_roll": {"mouthRollUpper": 0.8, "mouthRollLower": 0.8},
    "grin": {"mouthSmile": 0.8, "mouthStretch": 0.4, "mouthUpperUp": 0.6, "mouthLowerDown": 0.6, "cheekSquint": 0.5},
    "cheek_blowing": {"cheekPuff": 0.9},
    "eye_closed": {"eyeBlink": 1.0},
    "brow_raiser": {"browInnerUp": 0.9, "browOuterUp": 0.9},
    "brow_lower": {"browDown": 1.0},
}


class Frame(NamedTuple):
    """Multi-view frame to the frame of the TU meshes in mm: v → scale · v, then rotation · v + translation."""

    scale: float
    rotation: NDArray[np.float64]  # (3, 3)
    translation: NDArray[np.float64]  # (3,)


def write_facescape_twin(plan: TwinPlan, *, sizes: Sizes, workers: int) -> dict[str, float]:
    """Write the twin under `plan.folder`; returns the skin tone of each subject, ITA degrees."""
    count = max(sizes.subjects, sizes.ablation_subjects)
    job = partial(_write_subject, expressions=_expressions(sizes), views=sizes.views)
    tones = run_jobs(job, plan, count, workers=workers, name="facescape twin")
    parts = [json.loads((plan.folder / f"frames-{number + 1}.json").read_text()) for number in range(count)]
    frames = {str(number + 1): part for number, part in enumerate(parts)}
    (plan.folder / "Rt_scale_dict.json").write_text(json.dumps(frames, indent=1) + "\n")
    for number in range(count):
        (plan.folder / f"frames-{number + 1}.json").unlink()
    lines = [f"{number + 1} {'mf'[number % 2]} {20 + number % 40} 1 1111" for number in range(count)]
    (plan.folder / "info_list_v2.txt").write_text("\n".join(lines) + "\n")
    return {str(number + 1): tone for number, tone in enumerate(tones)}


def _expressions(sizes: Sizes) -> tuple[str, ...]:
    """What the tables need, in the order of the data set; every subject has them, so that any may be drawn."""
    wanted = {*COMPARED, *EXPRESSIONS[: sizes.ablation_expressions]}
    return tuple(expression for expression in EXPRESSIONS if expression in wanted)


def _write_subject(studio: Studio, number: int, *, expressions: tuple[str, ...], views: int) -> float:
    rng = np.random.default_rng([studio.plan.seed, _BENCHMARK, number])
    subject, light, frames = studio.subject(rng), setting_light(_SETTING, rng), {}
    if number == 0:
        _write_landmark_indices(studio)
    for expression in expressions:
        vertices = studio.crowd.vertices(subject.person, ACTIONS[expression])
        frame = _random_frame(rng)
        _write_meshes(studio, str(number + 1), expression, vertices=vertices, frame=frame, rng=rng)
        cameras: dict[str, Any] = {}
        for index in range(views):
            view = _view(studio, light, rng, index=index, views=views)
            cameras |= camera_entries(index, view, frame, studio.plan.params.size)
            _write_photograph(studio, subject, vertices, view, name=f"{number + 1}/{file_stem(expression)}/{index}")
        folder = studio.plan.folder / "imgs" / str(number + 1) / file_stem(expression)
        (folder / "params.json").write_text(json.dumps(cameras) + "\n")
        matrix = np.concatenate([frame.rotation, frame.translation[:, None]], axis=1)
        frames[file_stem(expression).partition("_")[0]] = [frame.scale, matrix.tolist()]
    (studio.plan.folder / f"frames-{number + 1}.json").write_text(json.dumps(frames))
    return subject.person.skin_tone_ita


def _write_landmark_indices(studio: Studio) -> None:
    indices = studio.crowd.arrays.landmark_vertices
    np.savez(studio.plan.folder / "landmark_indices.npz", allow_pickle=False, **{TU_LANDMARKS: indices})


def _view(studio: Studio, light: Light, rng: np.random.Generator, *, index: int, views: int) -> View:
    """The cameras stand in a half circle around the subject."""
    view = studio.view(_SETTING, rng, light=light)
    pitch, _, roll = view.euler_angles
    part = (index + 0.5) / views * 2 - 1
    return view._replace(euler_angles=np.array([pitch, np.radians(part * _WIDEST_VIEW_DEGREES), roll], np.float32))


def _write_photograph(
    studio: Studio, subject: Subject, vertices: NDArray[np.float64], view: View, *, name: str
) -> None:
    save_photograph(studio.plan.folder / "imgs" / f"{name}.jpg", studio.take(subject, vertices, view), view)


def _random_frame(rng: np.random.Generator) -> Frame:
    return Frame(rng.uniform(*_MM_PER_UNIT), Rotation.random(rng=rng).as_matrix(), rng.uniform(-200, 200, 3))


def _write_meshes(
    studio: Studio,
    subject: str,
    expression: str,
    *,
    vertices: NDArray[np.float64],
    frame: Frame,
    rng: np.random.Generator,
) -> None:
    """The scan in the multi-view frame, and the registered mesh in the TU frame."""
    crowd, params, folder = studio.crowd, studio.plan.params, studio.plan.folder
    scan = scanned(
        vertices,
        crowd.visible_triangles,
        noise_mm=params.scan_noise_mm,
        hole_fraction=params.hole_fraction,
        rng=rng,
    )
    unplaced = (scan.vertices - frame.translation) @ frame.rotation / frame.scale
    write_mesh(folder / "meshes" / subject / f"{file_stem(expression)}.ply", unplaced, scan.triangles)
    registered = vertices[: len(crowd.arrays.mean_shape)]
    write_mesh(folder / f"tu/{subject}/models_reg/{file_stem(expression)}.obj", registered, crowd.arrays.triangles)


def camera_entries(index: int, view: View, frame: Frame, size: int) -> dict[str, Any]:
    """The entries of one view in params.json: OpenCV's camera, from the multi-view frame."""
    focal = view.camera.focal_length * size / 2
    centre = [size * (0.5 + shift) - 0.5 for shift in view.shift]  # OpenCV's first pixel has its centre at 0
    turned = rotation_from_euler(torch.from_numpy(view.euler_angles)[None])[0].double().numpy()
    flip = np.diag([1.0, -1.0, -1.0])  # ours: y up, z to the viewer
    rotation = flip @ turned @ frame.rotation
    offset = flip @ (turned @ frame.translation - [0, 0, view.camera.distance_mm]) / frame.scale
    return {
        f"{index}_K": [[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]],
        f"{index}_Rt": np.concatenate([rotation, offset[:, None]], axis=1).tolist(),
        f"{index}_distortion": [0.0] * 5,
        f"{index}_width": size,
        f"{index}_height": size,
        f"{index}_matches": 0,
        f"{index}_valid": True,
        f"{index}_sn": index,
        f"{index}_ori": 0,
    }
