"""How alike a photograph and a rendering are, beyond their colours' distance: PSNR, SSIM, what a recogniser sees."""

import torch
from jaxtyping import Float
from kornia.metrics import ssim
from torch import Tensor
from torch.nn.functional import cosine_similarity, max_pool2d

SSIM_WINDOW_PX = 11  # with a Gaussian of 1.5 px, as its authors use it (Wang et al. 2004)


def masked_psnr(
    image: Float[Tensor, "B 3 H W"], rendering: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B"]:
    """Peak signal-to-noise ratio within a mask of zeros and ones, dB, both pictures sRGB in 0..1.

    The squares are averaged over the pixels of the mask and the three channels. A face that is missed altogether, an
    empty mask, counts as a mean square of 1: 0 dB.
    """
    squares = (image - rendering).square().mean(dim=1, keepdim=True)
    return -10 * torch.log10(_mean_within(squares, mask, empty=1.0))


def masked_ssim(
    image: Float[Tensor, "B 3 H W"], rendering: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B"]:
    """Structural similarity within a mask of zeros and ones, -1 to 1, both pictures sRGB in 0..1.

    The mean over those windows of 11 pixels that lie in the mask entirely, so that what surrounds the face, black in
    one picture only, has no part in it; mean over the channels. Zero where no window does.
    """
    similarity = ssim(image, rendering, SSIM_WINDOW_PX, padding="valid").mean(dim=1, keepdim=True)
    inside = -max_pool2d(-mask, SSIM_WINDOW_PX, stride=1)  # 1 where the smallest value of a window is 1
    return _mean_within(similarity, inside, empty=0.0)


def identity_distances(features: Float[Tensor, "B D"], rendered: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
    """One minus the cosine between a recogniser's features of photograph and rendering, 0 to 2."""
    return 1 - cosine_similarity(features, rendered, dim=-1)


def _mean_within(
    picture: Float[Tensor, "B 1 H W"], mask: Float[Tensor, "B 1 H W"], *, empty: float
) -> Float[Tensor, "B"]:
    area = mask.sum(dim=(1, 2, 3))
    mean = (picture * mask).sum(dim=(1, 2, 3)) / area.clamp_min(1)
    return torch.where(area > 0, mean, torch.full_like(mean, empty))
