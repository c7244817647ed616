"""The form of the mean face that code generates: profile, nose, lids, sides; what a sculptor would look at."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from pipelines.embedded_face.anthropometry import PUBLISHED_DISTANCES, measured_vertices
from pipelines.embedded_face.authored import EYE_CENTRE
from pipelines.embedded_face.build import mean_face
from pipelines.embedded_face.expressions import facial_actions
from pipelines.embedded_face.geometry import vertex_normals
from pipelines.embedded_face.landmarks import landmark_vertices
from pipelines.embedded_face.regions import soft_regions
from pipelines.embedded_face.template import Part, Template

NASION, TIP, SUBNASALE, MENTON = 27, 30, 33, 8


@pytest.fixture(scope="module")
def template() -> Template:
    return mean_face()


@pytest.fixture(scope="module")
def landmarks(template: Template) -> NDArray[np.int64]:
    return landmark_vertices(template, soft_regions(template))


@pytest.fixture(scope="module")
def profile(template: Template) -> NDArray[np.float64]:
    """The midline (y, z) from the hairline down."""
    points = template.vertices[(template.mirror == np.arange(len(template.mirror))) & template.on_surface, 1:]
    return points[np.argsort(-points[:, 0], kind="stable")]


def depth_at(profile: NDArray[np.float64], height: float) -> float:
    return float(np.interp(-height, -profile[:, 0], profile[:, 1]))


@pytest.mark.parametrize("depth", [-40.0, -50.0, -60.0, -70.0])
def test_sides_of_the_face_have_no_bands(template: Template, depth: float) -> None:
    """Along a vertical line the curvature of cheek and jaw changes slowly: bands are quick changes of it."""
    side = template.vertices[(template.vertices[:, 0] > 28) & template.on_surface]
    heights = np.arange(16.0, -77.0, -4.0)
    widths = LinearNDInterpolator(side[:, 1:], side[:, 0])(np.column_stack([heights, np.full(len(heights), depth)]))
    curvature = np.diff(widths, n=2) / 4.0**2
    assert np.abs(curvature).max() < 0.0145  # 1/mm; a radius of 7 cm
    assert np.sqrt(np.mean(np.diff(curvature) ** 2)) < 0.0045


def test_nasion_is_the_deepest_point_of_the_root_and_as_far_away_as_published(
    template: Template, landmarks: NDArray[np.int64], profile: NDArray[np.float64]
) -> None:
    nasion, subnasale, menton = template.vertices[landmarks[[NASION, SUBNASALE, MENTON]]]
    root = profile[(profile[:, 0] > -5) & (profile[:, 0] < 20)]
    assert nasion[1] == pytest.approx(root[root[:, 1].argmin(), 0], abs=1.0)
    assert 4 < nasion[1] < 9  # mm above the pupils: the level of the upper lid
    assert np.linalg.norm(nasion - subnasale) == pytest.approx(51, abs=1.5)  # n-sn, see `authored`
    assert np.linalg.norm(nasion - menton) == pytest.approx(116, abs=1.5)  # n-gn


def test_jaw_is_as_wide_as_published(template: Template, landmarks: NDArray[np.int64]) -> None:
    vertex = measured_vertices(template, landmarks)
    published = next(distance for distance in PUBLISHED_DISTANCES if distance.name == "mandibular width")
    width = np.linalg.norm(template.vertices[vertex["go_r"]] - template.vertices[vertex["go_l"]])
    assert width == pytest.approx(published.mean, abs=4)


def test_forehead_leans_back_as_published(profile: NDArray[np.float64]) -> None:
    """10 to 15 degrees from the vertical over its lower two thirds."""
    glabella, upper = 22.0, 55.0
    slope = (depth_at(profile, glabella) - depth_at(profile, upper)) / (upper - glabella)
    assert 10 <= np.degrees(np.arctan(slope)) <= 15


def test_lips_meet_in_a_shallow_groove(profile: NDArray[np.float64]) -> None:
    """In profile the lip line is a fold between two round lips, no cut."""
    upper = profile[(profile[:, 0] < -58) & (profile[:, 0] > -66), 1].max()
    lower = profile[(profile[:, 0] < -68) & (profile[:, 0] > -76), 1].max()
    between = profile[(profile[:, 0] < -66) & (profile[:, 0] > -67.5), 1].min()
    assert 1 < lower - between < upper - between < 4.4  # mm


def test_upper_teeth_are_as_long_as_incisors(template: Template) -> None:
    """A smile lifts the lip by half a centimetre; the crown of a central incisor is 8.5 to 11 mm long."""
    rows = template.curves.mouth
    gum, edge = template.vertices[rows.upper_gum[0]], template.vertices[rows.upper_edge[0]]
    assert 8.5 < gum[1] - edge[1] < 11
    assert gum[1] - template.vertices[rows.upper_lip[0], 1] > 5


def test_outline_follows_the_jaw(template: Template, profile: NDArray[np.float64]) -> None:
    """Seen from the side the model ends at the lower border of the jaw, with a round chin before it."""
    assert profile[-1, 1] > -38  # mm; the underside of the chin is cut off here
    border = template.vertices[template.curves.boundary]
    jaw = border[(border[:, 1] < -80) & (border[:, 0] > 1)]
    slope = np.degrees(np.arctan2(jaw[0, 1] - jaw[-1, 1], jaw[-1, 2] - jaw[0, 2]))
    assert 20 < slope < 45  # of the border to the horizontal


def test_nostrils_are_hollows_with_a_crisp_rim(template: Template) -> None:
    rim = template.vertices[template.curves.nostril_rim]
    x, y, z = template.vertices.T
    centre = rim.mean(axis=0)
    inside = template.on_surface & (np.hypot(x - centre[0], z - centre[2]) < 9)
    assert (
        y[inside & (np.abs(x - centre[0]) < 2)].max() > rim[:, 1].max() + 1.0
    )  # mm above the highest point of the rim
    neighbours = np.isin(template.skin_triangles, template.curves.nostril_rim).sum(axis=1) == 2
    corners = template.vertices[template.skin_triangles[neighbours]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert np.linalg.norm(normals.mean(axis=0)) < 0.85  # both sides of the rim face different ways


def test_tip_of_the_nose_is_a_ball(template: Template, landmarks: NDArray[np.int64]) -> None:
    """A sphere of published size, about 8 mm radius, fits the skin around its foremost point."""
    tip = template.vertices[landmarks[TIP]]
    near = template.vertices[template.on_surface & (np.linalg.norm(template.vertices - tip, axis=1) < 6)]
    equations = np.column_stack([2 * near, np.ones(len(near))])
    solution, *_ = np.linalg.lstsq(equations, (near**2).sum(axis=1), rcond=None)
    radius = np.sqrt(solution[3] + (solution[:3] ** 2).sum())
    residual = np.linalg.norm(near - solution[:3], axis=1) - radius
    assert 6 < radius < 11
    assert np.sqrt(np.mean(residual**2)) < 0.4


def test_upper_lid_has_a_crease(template: Template) -> None:
    """In the middle of the lid the crease lies behind the straight line from the lid to the fold above."""
    crease = template.vertices[template.curves.lid_crease]
    middle = crease[np.abs(crease[:, 0] - EYE_CENTRE[0]).argmin()]
    normals = vertex_normals(template.vertices, template.skin_triangles)
    column = template.on_surface & (np.abs(template.vertices[:, 0] - middle[0]) < 1.5)
    below = column & (np.abs(template.vertices[:, 1] - (middle[1] - 2)) < 1.2)
    above = column & (np.abs(template.vertices[:, 1] - (middle[1] + 2)) < 1.2)
    assert normals[above, 1].mean() < normals[below, 1].mean() - 0.25  # the fold overhangs


def test_lid_edges_are_lined_by_even_triangles(template: Template) -> None:
    """Uneven ones make the light jump along the edge, and the lid looks like a wire."""
    lid = template.curves.upper_lid[3:-3]
    normals = vertex_normals(template.vertices, template.skin_triangles)[lid]
    turns = np.arccos(np.clip((normals[1:] * normals[:-1]).sum(axis=1), -1, 1))
    assert np.degrees(turns).max() < 7


def test_blink_moves_nothing_behind_the_middle_of_the_eye(template: Template) -> None:
    """The outer corner of the eye stays smooth."""
    actions = facial_actions(template, soft_regions(template))
    behind = (template.vertices[:, 2] < EYE_CENTRE[2]) & template.is_part(Part.SKIN)
    assert np.abs(actions["eyeBlink_L"][behind]).max() < 0.5  # mm
