"""Brings what a reader found into the one form of all face models, and refuses what cannot be a face in mm."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from models.face_model import FaceModelArrays, Sampling
from models.landmarks import LANDMARKS, MIRRORED, NOSE_TIP
from models.segments import SEGMENT_INDEX
from pipelines.embedded_face.landmarks import alignment_centre
from pipelines.topology import Indices, Points, Triangles, filled, path_through, rims

Fields = NDArray[np.floating]  # (modes, V, 3)

_OUTER_EYES = (36, 45)
_OUTER_EYE_DISTANCE_MM = (70.0, 110.0)  # adults: 90.5 ± 3.6 mm in the 105 scans of MICC Florence
_ASYMMETRY_MM = 8.0  # at most, of a mean face
_RIGHT_SIDE = (*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67)
_MIDLINE_FROM_TOP = (27, 28, 29, 30, 33, 51, 57, 8)
_BROW_HEIGHT_MM = 9.0
_FOREHEAD_MM = 65.0  # of the frontal crop, above the brows
_MARGIN_MM = 12.0  # of the frontal crop, beyond the landmarks elsewhere
_UNITS = {1000.0: "metres", 100.0: "decimetres", 10.0: "centimetres", 0.001: "micrometres"}


@dataclass(frozen=True)
class Albedo:
    """Linear RGB in 0..1; bases multiplied by the standard deviation of their mode, one vector drives both."""

    mean_diffuse: Points
    diffuse_basis: Fields
    mean_specular: Points
    specular_basis: Fields
    bank: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # plausible skins
    hair_rgb: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))


@dataclass(frozen=True)
class ReadModel:
    """What a reader found: mm, x to the person's left, y up, z to the viewer; bases of one standard deviation each."""

    source: str
    mean_shape: Points
    shape_basis: Fields
    expression_basis: Fields
    triangles: Triangles
    landmark_vertices: Indices  # (68,)
    mouth_triangles: Triangles
    uv: NDArray[np.floating] | None = None  # (V, 2); a cylinder's where the model has none
    regions: NDArray[np.uint8] | None = None  # (V,); from the landmarks where the model has none
    action_names: tuple[str, ...] = ()
    action_coefficients: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def assembled(read: ReadModel, albedo: Albedo) -> FaceModelArrays:
    """The face model in its one form, origin at the mean of the five alignment points.

    Raises ValueError for another unit, landmarks that belong to another topology, and arrays that do not fit together.
    """
    check_landmarks(read.source, read.mean_shape, read.landmark_vertices)
    centre = alignment_centre(read.mean_shape, read.landmark_vertices)
    regions = landmark_regions(read.mean_shape, read.landmark_vertices) if read.regions is None else read.regions
    return FaceModelArrays(
        source=read.source,
        mean_shape=single(read.mean_shape - centre),
        shape_basis=single(read.shape_basis),
        expression_basis=single(read.expression_basis),
        mean_diffuse=single(albedo.mean_diffuse),
        diffuse_basis=single(albedo.diffuse_basis),
        mean_specular=single(albedo.mean_specular),
        specular_basis=single(albedo.specular_basis),
        triangles=read.triangles.astype(np.int32),
        mouth_triangles=read.mouth_triangles.astype(np.int32),
        landmark_vertices=read.landmark_vertices.astype(np.int32),
        uv=single(cylinder_uv(read.mean_shape - centre) if read.uv is None else read.uv),
        regions=regions,
        sampling=Sampling(read.action_names, single(read.action_coefficients), albedo.bank, albedo.hair_rgb),
    )


def check_landmarks(source: str, vertices: Points, landmarks: Indices) -> None:
    """ValueError unless the 68 vertices can be the landmarks of a frontal, upright face in mm."""
    if len(landmarks) != len(MIRRORED) or landmarks.min() < 0 or landmarks.max() >= len(vertices):
        raise ValueError(f"{source}: expected 68 landmarks within the {len(vertices)} vertices of the mean face")
    points = vertices[landmarks]
    distance = float(np.linalg.norm(points[_OUTER_EYES[0]] - points[_OUTER_EYES[1]]))
    lowest, highest = _OUTER_EYE_DISTANCE_MM
    if not lowest <= distance <= highest:
        units = (name for factor, name in _UNITS.items() if lowest <= distance * factor <= highest)
        hint = next((f"; the file seems to be in {name}" for name in units), "")
        raise ValueError(
            f"{source}: the outer corners of the eyes are {distance:.3g} mm apart, expected {lowest:g} to {highest:g}"
            f" (another unit, or landmarks of another topology){hint}"
        )
    heights = points[list(_MIDLINE_FROM_TOP), 1]
    if not (np.diff(heights) < 0).all():
        raise ValueError(f"{source}: the midline landmarks do not descend from brow to chin: another topology or axis")
    for right in _RIGHT_SIDE:  # exchanged partners are as symmetric as before
        if points[right, 0] > points[MIRRORED[right], 0]:
            raise ValueError(
                f"{source}: landmark {right} of the right side lies left of its partner {MIRRORED[right]}:"
                " mirrored axes or landmarks"
            )
    if points[NOSE_TIP, 2] < points[list(_OUTER_EYES), 2].mean():
        raise ValueError(f"{source}: the tip of the nose lies behind the eyes: mirrored axes or landmarks")
    middle = points[list(_MIDLINE_FROM_TOP), 0].mean()
    reflected = (points - [middle, 0, 0]) * [-1, 1, 1] + [middle, 0, 0]
    asymmetry = np.linalg.norm(reflected[list(MIRRORED)] - points, axis=1)
    if asymmetry.max() > _ASYMMETRY_MM:
        worst = int(asymmetry.argmax())
        raise ValueError(
            f"{source}: landmark {worst} is {asymmetry[worst]:.1f} mm from the mirror image of its partner, expected"
            f" at most {_ASYMMETRY_MM:g}: landmarks of another topology"
        )


def landmark_regions(vertices: Points, landmarks: Indices) -> NDArray[np.uint8]:
    """The segment (V,) of each vertex of a frontal mean face in mm, from outlines through its landmarks."""
    regions = np.full(len(vertices), SEGMENT_INDEX["skin"], np.uint8)
    flat, points = vertices[:, :2], vertices[landmarks][:, :2]
    for name, outlines in _outlines(points).items():
        for outline in outlines:
            regions[points_in_poly(flat, outline)] = SEGMENT_INDEX[name]
    return regions


def _outlines(points: Points) -> dict[str, list[Points]]:
    """Polygons (N, 2) in mm around the parts of a face, from its 68 landmarks seen from the front."""
    brows = []
    for name in ("right_eyebrow", "left_eyebrow"):
        line = points[list(LANDMARKS[name])]
        above, below = np.array([0, 1.0]), np.array([0, _BROW_HEIGHT_MM - 1.0])  # the landmarks lie on the upper edge
        brows.append(np.concatenate([line + above, (line - below)[::-1]]))
    bridge, base, tip = points[LANDMARKS["nose_bridge"][0]], points[list(LANDMARKS["nose_base"])], points[NOSE_TIP]
    half_bridge = 0.12 * np.linalg.norm(points[_OUTER_EYES[0]] - points[_OUTER_EYES[1]]) * np.array([0.7, 0])
    wing = np.array([4.0, 0.0])
    right_wing, left_wing = (np.array([corner[0], tip[1]]) for corner in (base[0], base[-1]))
    nose = [bridge - half_bridge, right_wing - wing, base[0] - wing, *base, base[-1] + wing, left_wing + wing]
    return {
        "brows": brows,
        "nose": [np.array([*nose, bridge + half_bridge])],
        "eyes": [points[list(LANDMARKS[name])] for name in ("right_eye", "left_eye")],
        "lips": [points[list(LANDMARKS["outer_mouth"])]],
    }


def frontal(vertices: Points, landmarks: Indices) -> NDArray[np.bool_]:
    """The vertices (V,) of a head in mm that belong to the face: no neck, no back of the head (Fig. 1b)."""
    points = vertices[landmarks]
    highest = points[:, 1].max() + _FOREHEAD_MM
    lowest, backmost = points[:, 1].min() - _MARGIN_MM, points[:, 2].min() - _MARGIN_MM
    return (vertices[:, 1] < highest) & (vertices[:, 1] > lowest) & (vertices[:, 2] > backmost)


def mouth_patch(source: str, vertices: Points, triangles: Triangles, landmarks: Indices) -> Triangles:
    """Triangles between the lips: over the hole in the mesh there, else over the inner contour of the lips.

    The contour is the shortest way along edges through landmarks 60 to 67.
    """
    inner = landmarks[list(LANDMARKS["inner_mouth"])]
    holes = [rim for rim in rims(triangles) if np.isin(inner, rim).sum() >= len(inner) - 1]
    loop = min(holes, key=len) if holes else path_through(vertices, triangles, inner.tolist())
    patch = filled(vertices, loop)
    if len(patch) < len(inner) - 2:
        raise ValueError(f"{source}: no inner contour of the lips of at least {len(inner)} vertices, got {len(loop)}")
    return patch


def cylinder_uv(vertices: Points) -> NDArray[np.float64]:
    """Texture coordinates (V, 2) in 0..1 from an upright cylinder around the head; v up."""
    behind = vertices[:, 2] - (vertices[:, 2].max() - 1.1 * np.ptp(vertices[:, 0]))
    flat = np.stack([np.arctan2(vertices[:, 0], behind), vertices[:, 1]], axis=1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return np.asarray((flat - low) / (high - low))


def single(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """Contiguous float32."""
    return np.ascontiguousarray(array, dtype=np.float32)
