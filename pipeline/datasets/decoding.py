"""What a picture file is, and its pixels by Pillow; imports no TensorFlow.

The bytes of any picture become uint8 (h, w, 3), as a viewer shows them: turned as the EXIF tag says, sixteen bits
scaled to eight, palettes as their colours, transparent parts over white, CMYK as RGB. A file is known by its content,
never by its ending. `reading.decode` gives the same pixels, to the last bit, inside TensorFlow's graphs.
"""

from __future__ import annotations

import importlib.util
import io
from functools import cache

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

VERSION = "4"  # a part of every feature table's key: raise it when a picture comes out otherwise
HEADER = 32  # bytes, of which `kind_of` wants no more
EXTRA = "pillow-heif"  # reads HEIC, which Pillow does not
GET_EXTRA = "uv pip install --require-hashes -r requirements-heic.txt"

# A JPEG is scaled down, by 2, 4 or 8, as far as its shorter side keeps so many px. Networks see 299 at most, resized
# without averaging, which aliases: features of what is scaled before are nearer to those of a properly averaged picture
# than features from full size are (at 128, 224 and 288 px, each size from 0.6 to 12 megapixels). 256 px is too few.
DRAFT_SIDE = 336

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
_READERS = {"HEIC": ("HEIF",)}  # Pillow's names, where they are others
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"mif1", b"msf1"}
_WAYS = {  # of the EXIF tag: what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners put into sixteen


def kind_of(header: bytes) -> str:
    """JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF or HEIC, by a file's first HEADER bytes; empty where it is no picture."""
    for signature, kind in _SIGNATURES.items():
        if header.startswith(signature):
            return kind
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[4:8] == b"ftyp":
        brand = header[8:12]
        return "AVIF" if brand in (b"avif", b"avis") else "HEIC" if brand in _HEIF_BRANDS else ""
    return ""


def looks_whole(encoded: bytes) -> bool:
    """Whether a file begins and ends as whole pictures do; where it does not, decoding tells."""
    kind, size = kind_of(encoded[:HEADER]), len(encoded)
    if kind == "JPEG":
        return b"\xff\xd9" in encoded[-1024:]
    if kind == "PNG":
        return b"IEND" in encoded[-64:]
    if kind == "GIF":
        return encoded.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        return size >= 8 + int.from_bytes(encoded[4:8], "little")
    if kind == "BMP":
        return size >= int.from_bytes(encoded[2:6], "little")
    return bool(kind)


def read(encoded: bytes) -> np.ndarray:
    """Any picture, by Pillow: uint8 (h, w, 3), the first frame of several.

    Raises ValueError, in one line, where it is damaged, or of a kind that nothing installed here reads.
    """
    kind = kind_of(encoded[:HEADER])
    if kind == "HEIC" and not reads_heic():
        raise ValueError(f"a HEIC picture, which wants the package {EXTRA}")
    if not kind:
        raise ValueError("no picture")
    try:
        with opened(encoded, kind) as image:
            return _as_shown(image)
    except UnidentifiedImageError:
        raise ValueError(f"a damaged {kind} picture") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers let out TypeError, RuntimeError and others of what is damaged
        raise ValueError(f"{kind}: {str(error).partition(chr(10))[0]}") from None


def opened(encoded: bytes, kind: str) -> Image.Image:
    """By Pillow's reader of this kind and by no other of its forty, some of which start programs."""
    return Image.open(io.BytesIO(encoded), formats=_READERS.get(kind, (kind,)))


def _as_shown(image: Image.Image) -> np.ndarray:
    image.seek(0)
    image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
    image.load()
    image = _upright(image)
    if image.mode.startswith(("I", "F")):
        grey = _to_eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(below, image)
    return np.asarray(image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """As the EXIF tag says; one that cannot be read is none, and what XMP alone says is not heeded, as by browsers."""
    for name in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(name, None)  # where Pillow would look, too
    try:
        way = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of a damaged one Pillow lets out whatever its parser met
        return image
    return image.transpose(_WAYS[way]) if way in _WAYS else image


def _to_eight_bits(grey: np.ndarray) -> np.ndarray:
    """Values (h, w) of sixteen bits, or of floating point, scaled by their range: of the depths that they may have, and
    of the powers of two that a sensor has, the smallest that holds them.
    """
    if np.issubdtype(grey.dtype, np.floating):
        finite = np.nan_to_num(grey, posinf=0, neginf=0)
        largest = finite.max(initial=0)
        scaled = finite * (255 if largest <= 1 else 1 if largest < 256 else 255 / largest)
        return np.clip(np.round(scaled), 0, 255).astype(np.uint8)
    largest = int(grey.max(initial=0))
    depth = next((bits for bits in _DEPTHS if largest < 2**bits), max(largest.bit_length(), 16))
    if largest < 2**16:  # by a table, since whole pictures of float64 would take eight times the memory
        levels = np.clip(np.round(np.arange(largest + 1) * (255 / (2**depth - 1))), 0, 255).astype(np.uint8)
        return levels[np.maximum(grey, 0)]
    return np.clip(np.round(grey * (255 / (2**depth - 1))), 0, 255).astype(np.uint8)


@cache
def reads_heic() -> bool:
    """Whether the package for HEIC is installed; Pillow knows of it from then on."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True
