from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.colour_distance import _ColourDistance, colour_distance, plain_colour_distance


def _pictures(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Two pairs of pictures, equal in one corner."""
    generator = torch.Generator().manual_seed(5)
    first, second = (torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    second[:, :, 0, 0] = first[:, :, 0, 0]
    return [first.to(dtype).requires_grad_(), second.to(dtype).requires_grad_()]


def test_distance_is_the_length_of_the_difference_of_the_colours() -> None:
    first, second = _pictures()
    expected = torch.linalg.vector_norm(first - second, dim=1, keepdim=True)
    torch.testing.assert_close(colour_distance(first, second), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_distance_is_the_plain_one(dtype: torch.dtype) -> None:
    pictures = _pictures(dtype)
    pictures[0] = pictures[0].detach().mT.contiguous().mT.requires_grad_()  # of another order in memory
    direction = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(6), dtype=dtype)
    compiled, plain = colour_distance(*pictures), plain_colour_distance(*pictures)
    torch.testing.assert_close(compiled, plain)
    found, expected = (torch.autograd.grad(distance, pictures, direction) for distance in (compiled, plain))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("distance", [colour_distance, plain_colour_distance])
def test_distance_has_a_gradient_and_none_where_the_colours_agree(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    first, second = _pictures()
    (gradient,) = torch.autograd.grad(distance(first, second).sum(), second)
    assert (gradient[:, :, 0, 0] == 0).all() and gradient.isfinite().all()
    apart = second.detach().clone()
    apart[:, :, 0, 0] += 0.1
    assert torch.autograd.gradcheck(distance, [first, apart.requires_grad_()])


def test_a_colour_that_is_no_number_has_no_distance() -> None:
    first, second = _pictures()
    broken = second.detach().clone()
    broken[1, 2, 3, 4] = torch.nan
    assert colour_distance(first, broken).isnan().sum() == 1


def test_pictures_of_unlike_shapes_are_refused() -> None:
    first, second = _pictures()
    for other in (second[:1], second[..., 1:], second[:, :2]):
        with pytest.raises(ValueError, match="two batches of RGB pictures of one shape"):
            _ColourDistance.apply(first, other)


def test_other_devices_take_the_plain_operations() -> None:
    first, second = (picture.detach().to("meta") for picture in _pictures())
    assert colour_distance(first, second).shape == (2, 1, 4, 5)
