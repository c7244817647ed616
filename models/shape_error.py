"""Shape error: ICP with an isotropic scale moves a reconstructed mesh onto a scan; then point-to-plane distances, mm.

Written in NumPy with SciPy's k-d tree, because nothing here is differentiated and the surfaces differ in size.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from models.registration import similarity_from_points

Direction = Literal["scan_to_mesh", "mesh_to_scan"]
Statistic = Literal["mean", "rmse"]
Points = Float[np.ndarray, "N 3"]

_COARSE_POINTS = 1500  # enough for the first steps; only the last ones look at every point
_FINE_STEPS = 3
_SETTLED = 1.0e-6  # mm; smaller changes of the mean residual end a level
_LARGEST_GROWTH = 0.3  # of the log scale in one step; a degenerate mesh must not overflow


class Surface(NamedTuple):
    """Points of a surface with unit normals."""

    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]


class Similarity(NamedTuple):
    """x → scale · rotation · x + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def moved(self, points: Points) -> Points:
        """The points after the similarity."""
        return self.scale * points @ self.rotation.T + self.translation

    def moved_back(self, points: Points) -> Points:
        """The points before the similarity."""
        return (points - self.translation) @ self.rotation / self.scale


class Protocol(NamedTuple):
    """What a shape error means; published numbers are comparable only inside one protocol."""

    crop_radius_mm: float  # around the scan's nose tip
    iterations: int
    kept_fraction: float  # of the pairs, the closest ones, that each step of the registration uses
    direction: Direction
    statistic: Statistic

    @property
    def description(self) -> str:
        """The protocol in words, for captions."""
        where = f"within {self.crop_radius_mm:g} mm of the nose tip"
        return (
            f"ICP with isotropic scale, point-to-plane, {self.direction.replace('_', ' ')}, {where}, {self.statistic}"
        )


class ShapeError(NamedTuple):
    """One number for the table, and what a figure of the errors needs; everything in the scan's frame, mm."""

    value_mm: float
    distances_mm: Float[np.ndarray, "N"]  # unsigned, one for each of `points`
    points: Float[np.ndarray, "N 3"]  # the cropped scan, or the part of the mesh inside the crop
    vertices: Float[np.ndarray, "V 3"]  # the registered mesh
    scan_from_mesh: Similarity


def shape_error(
    mesh: Surface,
    scan: Surface,
    *,
    scan_from_mesh: Similarity,
    nose_tip: Float[np.ndarray, "3"],
    protocol: Protocol,
) -> ShapeError:
    """Point-to-plane error of a reconstructed mesh after ICP with an isotropic scale (Sec. 5).

    The scan gives the millimetres; the mesh may have any unit and size. `scan_from_mesh` is where the registration
    starts, `nose_tip` the centre of the crop on the scan.

    Deviation: the paper names neither crop, direction nor statistic; all three belong to the protocol.
    """
    near = np.linalg.norm(scan.points - nose_tip, axis=1) <= protocol.crop_radius_mm
    if near.sum() < 10:
        raise ValueError(f"the scan has {near.sum()} points within {protocol.crop_radius_mm} mm of the nose tip")
    cropped = Surface(scan.points[near], scan.normals[near])
    matcher = _Matcher(mesh, cropped, nose_tip=nose_tip, protocol=protocol)
    found = registered(matcher, scan_from_mesh)
    pairs = matcher.pairs(found, step=1)
    distances = np.abs(_residuals(pairs))
    value = distances.mean() if protocol.statistic == "mean" else np.sqrt((distances**2).mean())
    points = pairs.on_scan if protocol.direction == "scan_to_mesh" else pairs.on_mesh
    return ShapeError(float(value), distances, points, found.moved(mesh.points), found)


def no_shape_error(vertices: Points) -> ShapeError:
    """The result of a mesh that cannot be registered, because the method diverged: NaN."""
    return ShapeError(
        value_mm=np.nan,
        distances_mm=np.zeros(0),
        points=np.zeros((0, 3)),
        vertices=vertices,
        scan_from_mesh=Similarity(1.0, np.eye(3), np.zeros(3)),
    )


def similarity_from_corresponding(source: Points, target: Points) -> Similarity:
    """Where a registration may start: the similarity that moves corresponding points onto each other."""
    tensors = (torch.from_numpy(np.asarray(points, np.float64))[None] for points in (source, target))
    scale, rotation, translation = (array[0].numpy() for array in similarity_from_points(*tensors))
    return Similarity(float(scale), rotation, translation)


class _Pairs(NamedTuple):
    on_mesh: Float[np.ndarray, "N 3"]  # moved to the scan's frame
    on_scan: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]  # of the surface that was searched, scan's frame


class _Matcher:
    """Finds for points of one surface the nearest ones of the other; the tree is built once."""

    def __init__(self, mesh: Surface, scan: Surface, *, nose_tip: NDArray[np.floating], protocol: Protocol) -> None:
        self.mesh, self.scan, self.nose_tip, self.protocol = mesh, scan, nose_tip, protocol
        self.from_scan = protocol.direction == "scan_to_mesh"
        self.tree = cKDTree(mesh.points if self.from_scan else scan.points)

    @property
    def size(self) -> int:
        """How many points look for a partner."""
        return len(self.scan.points if self.from_scan else self.mesh.points)

    def pairs(self, scan_from_mesh: Similarity, step: int) -> _Pairs:
        """Every `step`-th point with its nearest partner under the present similarity."""
        if self.from_scan:  # the tree stays in the mesh's frame; a similarity does not change who is nearest
            points = self.scan.points[::step]
            nearest = self.tree.query(scan_from_mesh.moved_back(points))[1]
            normals = self.mesh.normals[nearest] @ scan_from_mesh.rotation.T
            return _Pairs(scan_from_mesh.moved(self.mesh.points[nearest]), points, normals)
        points = scan_from_mesh.moved(self.mesh.points[::step])
        points = points[np.linalg.norm(points - self.nose_tip, axis=1) <= self.protocol.crop_radius_mm]
        nearest = self.tree.query(points)[1]
        return _Pairs(points, self.scan.points[nearest], self.scan.normals[nearest])


def registered(matcher: _Matcher, start: Similarity) -> Similarity:
    """Point-to-plane ICP with isotropic scale, first on a part of the points, then on all."""
    found = start
    coarse_step = max(1, matcher.size // _COARSE_POINTS)
    coarse_steps = max(0, matcher.protocol.iterations - _FINE_STEPS)
    for step, iterations in ((coarse_step, coarse_steps), (1, min(_FINE_STEPS, matcher.protocol.iterations))):
        previous = np.inf
        for _ in range(iterations):
            pairs = matcher.pairs(found, step)
            used = _closest(pairs, matcher.protocol.kept_fraction)
            residual = float(np.abs(_residuals(pairs)[used]).mean())
            found = _improved(found, _Pairs(*(array[used] for array in pairs)))
            if abs(previous - residual) < _SETTLED:
                break
            previous = residual
    return found


def _residuals(pairs: _Pairs) -> Float[np.ndarray, "N"]:
    return ((pairs.on_scan - pairs.on_mesh) * pairs.normals).sum(axis=1)


def _closest(pairs: _Pairs, fraction: float) -> Bool[np.ndarray, "N"]:
    distance = np.linalg.norm(pairs.on_scan - pairs.on_mesh, axis=1)
    return distance <= np.quantile(distance, fraction)


def _improved(found: Similarity, pairs: _Pairs) -> Similarity:
    """One Gauss–Newton step in rotation vector, translation and log scale about the centre of the pairs."""
    centre = pairs.on_mesh.mean(axis=0)
    arm = pairs.on_mesh - centre
    columns = [np.cross(arm, pairs.normals), pairs.normals, (arm * pairs.normals).sum(axis=1, keepdims=True)]
    matrix = np.concatenate(columns, axis=1)  # (N, 7)
    change = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ _residuals(pairs), rcond=None)[0]
    turn, growth = (
        Rotation.from_rotvec(change[:3]).as_matrix(),
        float(np.exp(np.clip(change[6], -_LARGEST_GROWTH, _LARGEST_GROWTH))),
    )
    translation = growth * turn @ (found.translation - centre) + centre + change[3:6]
    return Similarity(found.scale * growth, turn @ found.rotation, translation)


def surface_from_mesh(vertices: Points, triangles: Int[np.ndarray, "F 3"]) -> Surface:
    """All vertices that have a normal, in float64."""
    normals = mesh_normals(vertices, triangles)
    used = normals.any(axis=1)
    return Surface(vertices[used].astype(np.float64), normals[used])


def mesh_normals(vertices: Points, triangles: Int[np.ndarray, "F 3"]) -> Points:
    """Unit normals of all vertices, each the area-weighted mean over its triangles; zero where there is none."""
    corners = vertices[triangles].astype(np.float64)  # (F, 3, 3)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        for axis in range(3):  # bincount is several times faster than np.add.at
            normals[:, axis] += np.bincount(triangles[:, corner], weighted[:, axis], minlength=len(vertices))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=normals, where=lengths > 0)
