"""What every report says of where the regressor began."""

from pipelines.params import RegressorParams

_BEGINNINGS = {
    "scratch": "random weights",
    "imagenet": "ImageNet weights",
    "pretrained": "a supervised warm start on synthetic photographs",
}


def initialization_text(params: RegressorParams) -> str:
    """The initialisation in words, e.g. to follow "the regressor began with"."""
    return _BEGINNINGS[params.initialization]
