"""The bound on what one photograph tells of an identity: known cases, and an estimator that reaches it."""

import math

import torch

from benchmarks.identity_bound import (
    Measured,
    explained_variance,
    pixel_jacobian,
    points_of,
    prior_precision,
)
from models.camera import Camera
from models.coefficients import CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import neutral_coefficients
from models.renderer import landmark_pixels, pose_face
from tests.toy import toy_face_arrays

MODEL = FaceModel(toy_face_arrays())
CAMERA = Camera(math.radians(12.6), 1000.0)
FRONTAL = torch.zeros(3)


def test_one_measurement_of_one_unknown() -> None:
    jacobian, precision = torch.tensor([[3.0]]).double(), torch.eye(1).double()
    for sigma in (0.5, 3.0, 30.0):
        expected = torch.tensor([9 / (9 + sigma**2)]).double()
        torch.testing.assert_close(explained_variance(jacobian, precision, sigma), expected)


def test_a_larger_face_looks_like_a_nearer_one() -> None:
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).double() * 50
    wider = points * torch.tensor([0.05, 0.0, 0.0])
    for basis, told in ((points * 0.05, False), (wider, True)):
        jacobian = pixel_jacobian(Measured(points, basis[None]), FRONTAL, CAMERA, 224)
        precision = torch.block_diag(torch.eye(1), 1e-6 * torch.eye(7)).double()
        assert (explained_variance(jacobian, precision, 1.0)[0] > 0.9) == told


def test_jacobian_is_the_change_of_the_rendered_landmarks() -> None:
    """Of an identity and an expression, and of the seven numbers of the pose, for a face that is turned."""
    turned = torch.tensor([0.1, -0.4, 0.2])
    jacobian = pixel_jacobian(points_of(MODEL, MODEL.landmark_vertices.long()), turned, CAMERA, 224)
    modes, step = MODEL.shape_size + MODEL.expression_size, 1.0e-2
    assert jacobian.shape == (136, modes + 7)
    sizes = CoefficientSizes(MODEL.shape_size, MODEL.expression_size, MODEL.albedo_size)
    neutral = neutral_coefficients(sizes, 1)._replace(euler_angles=turned[None])
    for unknown in (0, MODEL.shape_size, *range(modes, modes + 7)):
        change = torch.zeros(1, modes + 7)
        change[0, unknown] = step
        shape, expression, angles, translation, scale = change.split(
            (MODEL.shape_size, MODEL.expression_size, 3, 3, 1), dim=1
        )
        ahead, behind = (
            neutral._replace(
                shape=sign * shape,
                expression=sign * expression,
                euler_angles=turned + sign * angles,
                translation=sign * translation,
                scale=1 + sign * scale,
            )
            for sign in (1, -1)
        )
        pixels = [landmark_pixels(MODEL, pose_face(MODEL, one, CAMERA), 224) for one in (ahead, behind)]
        expected = ((pixels[0] - pixels[1]) / (2 * step)).flatten().double()
        torch.testing.assert_close(jacobian[:, unknown], expected, atol=0.02, rtol=0.01)


def test_the_best_linear_estimate_reaches_the_bound_and_no_more() -> None:
    generator = torch.Generator().manual_seed(2)
    expressions = torch.randn(500, MODEL.expression_size, generator=generator) * 0.5
    precision = prior_precision(MODEL, expressions)
    jacobian = pixel_jacobian(points_of(MODEL, MODEL.landmark_vertices.long()), FRONTAL, CAMERA, 224)
    unknowns = len(precision)
    drawn = torch.randn(unknowns, 20_000, generator=generator).double()
    people = torch.linalg.cholesky(torch.linalg.inv(precision)) @ drawn
    people[-7:] = 0  # a pose of which nothing is known takes its part from the points, wherever the face is
    sigma = 2.0
    seen = jacobian @ people + sigma * torch.randn(len(jacobian), 20_000, generator=generator).double()
    posterior = torch.linalg.inv(jacobian.mT @ jacobian / sigma**2 + precision)
    answers = (posterior @ jacobian.mT @ seen / sigma**2).mT[:, : MODEL.shape_size]
    bound = explained_variance(jacobian, precision, sigma)[: MODEL.shape_size]
    assert bound.min() < 0.1 and 0.5 < bound.max() < 1  # some are told well, some hardly
    torch.testing.assert_close(answers.var(dim=0), bound, atol=0.04, rtol=0)
    errors = (answers - people.mT[:, : MODEL.shape_size]).square().mean(dim=0)  # of unit variances
    torch.testing.assert_close(1 - errors, bound, atol=0.04, rtol=0)
