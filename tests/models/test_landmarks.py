import torch

from models.landmarks import (
    FIVE_POINT_TEMPLATE,
    LANDMARK_COUNT,
    LANDMARKS,
    MIRRORED,
    MOUTH_CORNERS,
    NOSE_TIP,
    five_points,
)


def test_groups_cover_every_landmark_once() -> None:
    assert sorted(number for group in LANDMARKS.values() for number in group) == list(range(LANDMARK_COUNT))


def test_mirroring_twice_changes_nothing() -> None:
    assert [MIRRORED[MIRRORED[number]] for number in range(LANDMARK_COUNT)] == list(range(LANDMARK_COUNT))


def test_mirroring_swaps_left_and_right_and_keeps_the_other_groups() -> None:
    for name, group in LANDMARKS.items():
        partner = name.replace("right", "LEFT").replace("left", "right").replace("LEFT", "left")
        assert {MIRRORED[number] for number in group} == set(LANDMARKS[partner])
    assert MIRRORED[NOSE_TIP] == NOSE_TIP
    assert MIRRORED[MOUTH_CORNERS[0]] == MOUTH_CORNERS[1]


def test_five_points_are_eye_centres_nose_and_mouth_corners() -> None:
    landmarks = torch.zeros(2, 68, 2)
    landmarks[:, 36:42] = torch.tensor([[0.0, 0], [1, 1], [3, 1], [4, 0], [3, -1], [1, -1]])
    landmarks[:, 42:48, 0] = 10.0
    landmarks[:, 30] = torch.tensor([5.0, 7.0])
    landmarks[:, 48], landmarks[:, 54] = torch.tensor([3.0, 9.0]), torch.tensor([8.0, 9.5])
    expected = torch.tensor([[2.0, 0], [10, 0], [5, 7], [3, 9], [8, 9.5]])
    torch.testing.assert_close(five_points(landmarks), expected.expand(2, 5, 2))


def test_right_eye_of_the_template_is_on_the_left_of_the_picture() -> None:
    right_eye, left_eye, nose, right_corner, left_corner = FIVE_POINT_TEMPLATE
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_corner[0] < nose[0] < left_corner[0]
    assert right_eye[1] < nose[1] < right_corner[1]
