"""Shape error: a reconstructed mesh is registered to a scan; then distances between them, mm, under a protocol."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from models.icp import Ball, IcpSettings, Matcher, Similarity, registered
from models.landmarks import LANDMARKS
from models.protocols import NoseTip, Protocol, Statistic
from models.scan_regions import REGIONS, scan_regions
from models.surface import Points, Surface, closest_on_surface, on_rim

Landmarks = Float[np.ndarray, "68 3"]

_FEWEST_POINTS = 10
_TOWARDS_BRIDGE = 0.3  # NoW's centre: from the bottom of the nose


class ShapeError(NamedTuple):
    """One number for the table, and what a figure of the errors needs; everything in the scan's frame, mm."""

    value_mm: float
    sides: tuple[Float[np.ndarray, "M"], ...]  # unsigned distances, of one surface's points or of both surfaces'
    points: Float[np.ndarray, "N 3"]  # the cropped scan, the part of the mesh inside the crop, or both
    vertices: Float[np.ndarray, "V 3"]  # the registered mesh
    scan_from_mesh: Similarity

    @property
    def distances_mm(self) -> Float[np.ndarray, "N"]:
        """One for each of `points`."""
        return np.concatenate(self.sides)

    def under(self, statistic: Statistic) -> "ShapeError":
        """The same distances with another statistic; where there are two sides, the mean of both."""
        return self._replace(value_mm=float(np.mean([_statistic(side, statistic) for side in self.sides])))


class MarkedScan(NamedTuple):
    """A ground-truth scan in mm, with what places a crop on it."""

    surface: Surface
    nose_tip: Float[np.ndarray, "3"]
    landmarks: Landmarks | None = None


def shape_error(
    mesh: Surface,
    scan: MarkedScan,
    *,
    scan_from_mesh: Similarity,
    protocol: Protocol,
    icp: IcpSettings,
    scale: float | None = None,
) -> ShapeError:
    """Error of a reconstructed mesh after ICP (Sec. 5).

    The scan gives the millimetres; the mesh may have any unit and size. `scan_from_mesh` is where the registration
    starts; `scale`, where it is given, replaces the one of the start, and the registration is rigid.

    Deviation: the paper names neither crop, direction nor statistic; all three belong to the protocol.
    """
    _check_mesh(mesh)
    crop = crop_of(scan, protocol)
    target = _target(scan, crop, protocol)
    start = scan_from_mesh if scale is None else scan_from_mesh.with_scale(scale, mesh.points.mean(axis=0))
    free = scale is None and protocol.scale != "landmarks"
    from_mesh, from_scan = (Matcher(mesh, target, crop, from_scan=side) for side in (False, True))
    found = registered(from_mesh if protocol.direction == "mesh_to_scan" else from_scan, start, icp, with_scale=free)
    sides = {"scan_to_mesh": [from_scan], "mesh_to_scan": [from_mesh], "symmetric": [from_scan, from_mesh]}
    measured = [_distances(matcher, found, protocol) for matcher in sides[protocol.direction]]
    distances, points = zip(*measured, strict=True)
    result = ShapeError(np.nan, distances, np.concatenate(points), found.moved(mesh.points), found)
    return result.under(protocol.statistic)


def no_shape_error(vertices: Points) -> ShapeError:
    """The result of a mesh that cannot be registered, because the method diverged: NaN."""
    return ShapeError(
        value_mm=np.nan,
        sides=(np.zeros(0),),
        points=np.zeros((0, 3)),
        vertices=vertices,
        scan_from_mesh=Similarity(1.0, np.eye(3), np.zeros(3)),
    )


def crop_of(scan: MarkedScan, protocol: Protocol) -> Ball:
    """The ball around the face that a protocol compares; ValueError without the landmarks it needs."""
    if isinstance(protocol.crop, NoseTip):
        return Ball(scan.nose_tip, protocol.crop.radius_mm)
    landmarks = _landmarks(scan, protocol)
    bridge, bottom = landmarks[LANDMARKS["nose_bridge"][0]], landmarks[LANDMARKS["nose_base"][2]]
    right, left = landmarks[LANDMARKS["right_eye"][0]], landmarks[LANDMARKS["left_eye"][3]]
    size = (np.linalg.norm(left - right) + np.linalg.norm(bridge - bottom)) / 2
    return Ball(bottom + _TOWARDS_BRIDGE * (bridge - bottom), protocol.crop.factor * float(size))


def _landmarks(scan: MarkedScan, protocol: Protocol) -> Landmarks:
    if scan.landmarks is None:
        raise ValueError(f"the protocol {protocol.name} needs 68 landmarks on the scan, it has none")
    return scan.landmarks


def _target(scan: MarkedScan, crop: Ball, protocol: Protocol) -> Surface:
    """The part of the scan that is registered and measured."""
    kept = crop.contains(scan.surface.points)
    if protocol.region != "face":
        kept &= scan_regions(scan.surface.points, _landmarks(scan, protocol)) == REGIONS.index(protocol.region)
    if kept.sum() < _FEWEST_POINTS:
        raise ValueError(
            f"expected a scan with at least {_FEWEST_POINTS} points in the crop of the protocol {protocol.name}, got"
            f" {kept.sum()} within {crop.radius:.1f} mm of {np.round(crop.centre, 1)}: are its landmarks on it, in mm?"
        )
    return scan.surface.part(kept)


def _check_mesh(mesh: Surface) -> None:
    if len(mesh.points) < _FEWEST_POINTS or not np.isfinite(mesh.points).all():
        finite = int(np.isfinite(mesh.points).all(axis=1).sum())
        raise ValueError(
            f"expected a mesh of finite vertices in triangles, got {finite} finite ones of {len(mesh.points)}:"
            " it cannot be registered"
        )


def _distances(
    matcher: Matcher, found: Similarity, protocol: Protocol
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N 3"]]:
    """Unsigned distances of one surface's points to the other, and those points."""
    pairs = matcher.pairs(found)
    if protocol.overlap_only:
        pairs = pairs.part(_away_from_rim(matcher, pairs.nearest))
    points = pairs.on_scan if matcher.from_scan else pairs.on_mesh
    if protocol.distance == "plane":
        return np.abs(pairs.residuals), points
    if matcher.from_scan:  # the mesh's triangles are in its own frame
        closest = found.moved(closest_on_surface(found.moved_back(points), matcher.mesh))
    else:
        closest = closest_on_surface(points, matcher.scan)
    return np.linalg.norm(points - closest, axis=1), points


def _away_from_rim(matcher: Matcher, nearest: np.ndarray) -> Bool[np.ndarray, "N"]:
    return np.asarray(~on_rim(matcher.searched)[nearest])


def _statistic(distances: Float[np.ndarray, "N"], statistic: Statistic) -> float:
    if statistic == "rmse":
        return float(np.sqrt((distances**2).mean()))
    if statistic == "median":
        return float(np.median(distances))
    return float(distances.mean() if statistic == "mean" else distances.std())
