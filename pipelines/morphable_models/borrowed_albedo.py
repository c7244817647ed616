"""Lends the albedo of one face model to another topology, for models that are published without one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from models.face_model import FaceModelArrays
from models.landmarks import LANDMARK_COUNT
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo
from pipelines.topology import Indices, Points

_NEIGHBOURS = 3
_TOUCHING_MM = 1.0
_NOWHERE_MM = 1.0e-6  # closer than this, a vertex takes the colour as it is
_PARTS_BEHIND_SKIN = ("eyes", "inner_mouth")


def borrowed_albedo(
    vertices: Points, landmarks: Indices, lender: FaceModelArrays, regions: NDArray[np.uint8] | None = None
) -> Albedo:
    """The lender's albedo, bank of skins and hair on a mean face (V, 3) in mm with 68 landmarks, in linear RGB.

    The lender's mean face is warped onto the landmarks by a thin-plate spline; then each vertex takes the mean of the
    three nearest lender vertices, weighted by the inverse of their distances. That is a convex combination: means and
    plausible skins stay in 0..1. What lies outside the lender's face, such as a neck, continues its rim; where lender
    vertices touch, as on closed lips, they lend a mixture.

    With `regions` (V,), the segments of a topology with its own eyeballs or inside of the mouth, these parts take
    colours only from their own kind, and skin never takes theirs: lids lie on the eyeball, closer than the
    registration is exact. Without, position alone decides.

    Deviation: the warp meets all landmarks exactly but those that touch in the lender, as the inner contours of closed
    lips do. One place cannot go to two: these go to the mean of their partners.

    Raises ValueError when landmarks or regions do not fit.
    """
    if len(landmarks) != LANDMARK_COUNT:
        raise ValueError(f"borrowed albedo: expected {LANDMARK_COUNT} landmarks, got {len(landmarks)}")
    if regions is not None and len(regions) != len(vertices):
        raise ValueError(f"borrowed albedo: {len(regions)} regions for {len(vertices)} vertices")
    parts = _parts(regions, lender.regions, len(vertices))
    share = _shares(vertices, _warped(lender, np.asarray(vertices[landmarks], np.float64)), parts)
    return Albedo(
        mean_diffuse=share @ lender.mean_diffuse,
        diffuse_basis=_carried(share, lender.diffuse_basis),
        mean_specular=share @ lender.mean_specular,
        specular_basis=_carried(share, lender.specular_basis),
        bank=lender.sampling.albedo_bank,
        hair_rgb=lender.sampling.hair_rgb,
    )


class _Parts(NamedTuple):
    """Vertices with the same number may exchange colours."""

    target: NDArray[np.int64]  # (V,)
    lender: NDArray[np.int64]  # (L,)


def _parts(regions: NDArray[np.uint8] | None, lender_regions: NDArray[np.uint8], vertex_count: int) -> _Parts:
    parts = _Parts(np.zeros(vertex_count, np.int64), np.zeros(len(lender_regions), np.int64))
    if regions is None:
        return parts
    for number, name in enumerate(_PARTS_BEHIND_SKIN, start=1):
        of_lender = lender_regions == SEGMENT_INDEX[name]
        if of_lender.any():
            parts.lender[of_lender] = number
            parts.target[regions == SEGMENT_INDEX[name]] = number
    return parts


def _warped(lender: FaceModelArrays, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lender's mean face (L, 3) in mm, bent so that its landmarks lie on the given ones (68, 3)."""
    mean_shape = lender.mean_shape.astype(np.float64)
    own = mean_shape[lender.landmark_vertices]
    touching = cKDTree(own).query_pairs(_TOUCHING_MM, output_type="ndarray")
    graph = coo_array((np.ones(len(touching)), touching.T), shape=(len(own), len(own)))
    _, place = connected_components(graph, directed=False)  # a spline through one point twice is singular
    warp = RBFInterpolator(_means(own, place), _means(landmarks, place), kernel="thin_plate_spline")
    return np.asarray(warp(mean_shape))


def _means(points: NDArray[np.float64], place: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean of the points (N, 3) of each place."""
    sums = np.stack([np.bincount(place, weights=axis) for axis in points.T], axis=1)
    return np.asarray(sums / np.bincount(place)[:, None])


def _shares(vertices: Points, warped: NDArray[np.float64], parts: _Parts) -> csr_array:
    """What each vertex (V) takes from each lender vertex (L): a sparse (V, L), rows sum to 1."""
    rows, columns, values = [], [], []
    for part in np.unique(parts.target):
        takers, givers = np.flatnonzero(parts.target == part), np.flatnonzero(parts.lender == part)
        count = min(_NEIGHBOURS, len(givers))
        distance, nearest = cKDTree(warped[givers]).query(vertices[takers], k=list(range(1, count + 1)))
        weight = 1 / np.maximum(distance, _NOWHERE_MM)
        rows.append(np.repeat(takers, count))
        columns.append(givers[nearest].ravel())
        values.append((weight / weight.sum(axis=1, keepdims=True)).ravel())
    entries = np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=(len(vertices), len(warped)))


def _carried(share: csr_array, basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """A basis (A, L, 3) on the other topology (A, V, 3); one mode after the other needs no further memory."""
    result = np.empty((len(basis), share.shape[0], 3), np.float32)
    for mode, of_lender in zip(result, basis, strict=True):
        mode[:] = share @ of_lender
    return result
