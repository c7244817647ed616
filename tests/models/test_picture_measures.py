"""PSNR, SSIM and identity distance: by hand, and against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from models.picture_measures import identity_distances, masked_psnr, masked_ssim


def test_psnr_looks_at_the_mask_only() -> None:
    image, rendering = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.6)
    rendering[..., 2:] = 0.0
    mask = torch.ones(1, 1, 4, 4)
    mask[..., 2:] = 0
    assert masked_psnr(image, rendering, mask).item() == pytest.approx(20.0, abs=1e-4)  # 0.1 squared is 0.01


def test_ssim_of_a_whole_picture_is_that_of_scikit_image() -> None:
    image, rendering = torch.rand(2, 1, 3, 24, 20, generator=torch.Generator().manual_seed(0)).unbind()
    rendering = 0.6 * image + 0.4 * rendering
    found = masked_ssim(image, rendering, torch.ones(1, 1, 24, 20)).item()
    _, wanted = structural_similarity(
        *(picture[0].numpy().astype(np.float64) for picture in (image, rendering)),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert found == pytest.approx(wanted[:, 5:-5, 5:-5].mean(), abs=1e-5)


def test_ssim_does_not_see_what_is_outside_of_the_mask() -> None:
    image, rendering = torch.rand(2, 1, 3, 30, 30, generator=torch.Generator().manual_seed(0)).unbind()
    mask = torch.zeros(1, 1, 30, 30)
    mask[..., 5:22, 4:25] = 1
    black = rendering * mask
    assert not torch.equal(black, rendering)
    assert masked_ssim(image, black, mask).item() == masked_ssim(image, rendering, mask).item()
    assert masked_ssim(image, image, mask).item() == pytest.approx(1.0, abs=1e-4)


def test_a_missed_face_counts_as_wholly_wrong() -> None:
    picture = torch.full((2, 3, 16, 16), 0.5)
    mask = torch.zeros(2, 1, 16, 16)
    mask[1, :, 2:12, 2:12] = 1  # smaller than a window
    assert masked_psnr(picture, picture, mask)[0].item() == 0.0
    assert masked_ssim(picture, picture, mask).tolist() == [0.0, 0.0]


def test_identity_distance_is_zero_for_the_same_features_and_two_for_opposite_ones() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    rendered = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert identity_distances(features, rendered).tolist() == pytest.approx([0.0, 1.0, 2.0])
