"""From a file of unknown origin to an upright 8-bit RGB picture, or the reason why there is none."""

import hashlib
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipelines.photographs.found import FoundFile

# PIL's own guard against decompression bombs would refuse from 179 megapixels on, whatever the parameter says; the
# limit is checked here, on the size in the header, before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# Formats of photographs; others that PIL knows run outside programs (EPS) or are no pictures (PDF).
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
_BEHIND_TRANSPARENCY = (255, 255, 255)
_BYTES_PER_PIXEL = 8  # RGBA of 16 bits, uncompressed: no photograph within the limit of megapixels needs more


class DecodingLimits(NamedTuple):
    """What is refused, and how large a picture is kept."""

    maximum_megapixels: float
    minimum_side: int  # px
    longest_side: int  # px; larger pictures are shrunk to it

    @property
    def maximum_bytes(self) -> float:
        """Files with more bytes are refused unread: a few bytes of an archive may claim to be gigabytes."""
        return self.maximum_megapixels * 1e6 * _BYTES_PER_PIXEL


class Decoded(NamedTuple):
    """A picture (H, W, 3), or None and the reason; the size is the one in the file."""

    picture: NDArray[np.uint8] | None
    width: int
    height: int
    reason: str


def decode_photograph(file: FoundFile, limits: DecodingLimits) -> Decoded:
    """The first picture in a file; whatever is wrong with the file becomes a reason, never an exception."""
    width = height = 0
    try:
        refusal = file.refusal or _refusal_of_bytes(file.size, limits)
        if refusal:
            return Decoded(None, 0, 0, refusal)
        with warnings.catch_warnings(action="ignore"), file.open() as stream:
            image = Image.open(stream, formats=_FORMATS)
            width, height = image.size
            refusal = _refusal_of_pixels(width, height, limits)
            if refusal:
                return Decoded(None, width, height, refusal)
            return Decoded(_upright_rgb(image, limits.longest_side), width, height, "")
    except FileNotFoundError:
        return Decoded(None, 0, 0, "missing file")
    except Image.UnidentifiedImageError:
        return Decoded(None, 0, 0, "not a picture")
    except MemoryError:
        return Decoded(None, width, height, "too large for the memory")
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        return Decoded(None, width, height, f"broken picture: {_first_line(error, file)}")


def fingerprint(picture: NDArray[np.uint8]) -> str:
    """Equal for equal pictures, however their files are encoded."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()


def _refusal_of_bytes(size: int, limits: DecodingLimits) -> str:
    if size == 0:
        return "empty file"
    if size > limits.maximum_bytes:
        return f"too large: {size / 1e6:.1f} MB, at most {limits.maximum_bytes / 1e6:g} MB are read"
    return ""


def _refusal_of_pixels(width: int, height: int, limits: DecodingLimits) -> str:
    megapixels = width * height / 1e6
    if megapixels > limits.maximum_megapixels:
        return f"too large: {megapixels:.1f} megapixels, at most {limits.maximum_megapixels:g} are read"
    if min(width, height) < limits.minimum_side:
        return f"too small: {width} x {height} px, at least {limits.minimum_side} px a side are needed"
    return ""


def _upright_rgb(image: Image.Image, longest_side: int) -> NDArray[np.uint8]:
    """Decoded, rotated as its EXIF data say, 8-bit RGB, at most `longest_side` wide and high."""
    if image.format == "JPEG":
        image.draft(None, (longest_side, longest_side))  # large ones are decoded at a fraction of their size
    upright = ImageOps.exif_transpose(image)
    rgb = _rgb(upright)
    if max(rgb.size) > longest_side:
        rgb.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return np.array(rgb)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any of PIL's modes; transparent parts become white."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, (*_BEHIND_TRANSPARENCY, 255))
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _eight_bit(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey values of 16 or 32 bits in 8 bits: of 0..65535, or of the picture's own range when it is wider."""
    numbers = values.astype(np.float64)
    numbers = np.nan_to_num(numbers, posinf=0.0, neginf=0.0)
    is_integer = np.issubdtype(values.dtype, np.integer)
    low = min(float(numbers.min()), 0.0)
    high = max(float(numbers.max()), 65535.0 if is_integer else low + 1.0)
    scaled: NDArray[np.uint8] = ((numbers - low) / (high - low) * 255).round().astype(np.uint8)
    return scaled


def _first_line(error: Exception, file: FoundFile) -> str:
    """What a decoder said, without the place of the file on this machine."""
    text = str(error).replace(str(file.path), file.path.name).splitlines()
    return text[0][:200] if text else type(error).__name__
