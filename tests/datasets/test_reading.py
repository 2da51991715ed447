"""Every picture comes out as a viewer shows it, whoever decodes it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.datasets import decoding, reading

RED, BLUE, WHITE = (200, 30, 30), (30, 30, 200), (255, 255, 255)
ORIENTATION = 0x0112


def halves(width: int = 16, height: int = 8) -> Image.Image:
    """Red above, blue below."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """As in a graph of tf.data, in which a picture's kind is not known beforehand."""
    (picture,) = tf.data.Dataset.from_tensors(content).map(reading.decode).as_numpy_iterator()
    return picture


def is_halves(picture: np.ndarray, near: int = 12) -> bool:
    height = len(picture)
    above, below = picture[: height // 2 - 1], picture[height // 2 + 1 :]
    return bool(np.abs(above - np.array(RED)).max() <= near and np.abs(below - np.array(BLUE)).max() <= near)


def turned(orientation: int, image: Image.Image) -> Image.Image:
    """What a camera held otherwise stores, so that a viewer who heeds the tag shows `image`."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's Transpose: the reverse of what the tag asks for
    return image if orientation == 1 else image.transpose(Image.Transpose(undo[orientation]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_its_tag_turns_stands_upright(orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 100} if kind in ("JPEG", "WEBP") else {}
    content = encoded(turned(orientation, halves()), kind, exif=exif, **options)
    assert not reading.is_plain(content)
    picture = decoded(content)
    assert picture.shape == (8, 16, 3)
    assert is_halves(picture)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_every_format_is_known_by_its_content(kind, options):
    content = encoded(halves(), kind, **options)
    assert decoding.kind_of(content[: decoding.HEADER]) == kind
    assert decoding.looks_whole(content)
    assert is_halves(decoded(content))


def test_heic_by_its_package():
    pillow_heif = pytest.importorskip("pillow_heif", reason="no pillow-heif: install the extra `heic`")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(halves(64, 64)).save(buffer, quality=95)
    content = buffer.getvalue()
    assert decoding.kind_of(content[: decoding.HEADER]) == "HEIC"
    assert is_halves(decoded(content))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_a_palette_gives_its_colours(kind):
    assert is_halves(decoded(encoded(halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2), kind)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_over_white(mode):
    image = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    image.paste((90, 90, 90, 255), (0, 0, 3, 6))
    picture = decoded(encoded(image.convert(mode)))
    assert picture[0, 5].tolist() == [255] * 3
    assert np.abs(picture[0, 0].astype(int) - 90).max() <= 3


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_sixteen_bits_are_scaled_by_the_range_that_they_use(bits):
    """A sensor of so many bits, as scanners and microscopes store it."""
    grey = np.linspace(0, 2**bits - 1, 64, dtype=np.uint16).reshape(8, 8)
    picture = decoded(encoded(Image.fromarray(grey)))
    assert picture.shape == (8, 8, 3)
    np.testing.assert_allclose(picture[..., 0], np.linspace(0, 255, 64).reshape(8, 8), atol=1)


def test_a_tiff_of_floating_point_is_scaled():
    grey = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    picture = decoded(encoded(Image.fromarray(grey), "TIFF"))
    np.testing.assert_allclose(picture[..., 1], 255 * grey, atol=1)


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "YCbCr"])
def test_other_colours_become_rgb(mode):
    kind = "PNG" if mode == "1" else "JPEG"
    options = {} if kind == "PNG" else {"quality": 95}
    picture = decoded(encoded(Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode), kind, **options))
    assert picture.shape == (8, 8, 3)
    assert picture.min() >= 250


def test_the_first_frame_counts():
    content = encoded(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (16, 8), WHITE)])
    assert is_halves(decoded(content))


@pytest.mark.parametrize(
    "options", [{"quality": 80}, {"quality": 92, "subsampling": 0}, {"quality": 60, "progressive": True}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_tensorflow_and_pillow_agree_on_plain_jpegs_to_the_last_bit(options, mode):
    noise = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((173, 121), Image.Resampling.BICUBIC).convert(mode)
    content = encoded(image, "JPEG", **options)
    assert reading.is_plain(content)
    np.testing.assert_array_equal(decoded(content), decoding.read(content))


@pytest.fixture
def draft_side(monkeypatch):
    """A small one, so that large pictures are small, too."""
    monkeypatch.setattr(decoding, "DRAFT_SIDE", 32)
    return decoding.DRAFT_SIDE


def large(times: float, mode: str = "RGB") -> Image.Image:
    """Smooth, with detail that aliases; its shorter side is `times` DRAFT_SIDE."""
    height = round(times * decoding.DRAFT_SIDE)
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((height * 4 // 3 + 1, height), Image.Resampling.BICUBIC)).astype(int)
    grain = rng.integers(-40, 41, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).convert(mode)


def full(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.convert("RGB")


@pytest.mark.parametrize(("times", "ratio"), [(1.9, 1), (2, 2), (3.9, 2), (4, 4), (8, 8), (9.3, 8)])
@pytest.mark.parametrize("options", [{}, {"exif": Image.Exif()}], ids=["by TensorFlow", "by Pillow"])
def test_a_large_jpeg_is_scaled_to_half_a_quarter_or_an_eighth(draft_side, options, times, ratio):
    image = large(times)
    if options:
        options["exif"][ORIENTATION] = 1
    content = encoded(image, "JPEG", quality=90, **options)
    assert reading.is_plain(content) == (not options)
    picture = decoded(content)
    assert picture.shape == (-(-image.height // ratio), -(-image.width // ratio), 3)
    if ratio == 1:
        np.testing.assert_array_equal(picture, np.asarray(full(content)))
    else:  # by what each of its pixels covers, which is what bilinear resizing leaves out
        mean = np.asarray(full(content).reduce(ratio)).astype(int)
        assert np.abs(picture - mean).mean() < 5


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"progressive": True},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("times", [2.1, 4.2, 8.4])
def test_tensorflow_and_pillow_scale_alike_to_the_last_bit(draft_side, options, mode, times):
    content = encoded(large(times, mode), "JPEG", quality=85, **options)
    assert reading.is_plain(content)
    np.testing.assert_array_equal(decoded(content), decoding.read(content))


@pytest.mark.parametrize("times", [2, 4, 8])
def test_a_large_jpeg_is_turned_after_it_is_scaled(draft_side, times):
    side = times * draft_side
    image = halves(side + 64, side)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        picture = decoded(encoded(turned(orientation, image), "JPEG", quality=95, exif=exif))
        assert picture.shape == (draft_side, (side + 64) // times, 3)
        assert is_halves(picture)


def test_a_phone_picture_that_holds_a_second_one_is_scaled_and_turned(draft_side):
    side, exif = 4 * draft_side, Image.Exif()
    exif[ORIENTATION] = 6
    content = encoded(turned(6, halves(side, side)), "MPO", save_all=True, append_images=[halves()], exif=exif)
    assert Image.open(io.BytesIO(content)).format == "MPO"
    picture = decoded(content)
    assert picture.shape == (draft_side, draft_side, 3)
    assert is_halves(picture)


def test_a_phone_picture_of_twelve_megapixels_leaves_more_than_any_network_sees():
    content = encoded(Image.new("RGB", (4032, 3024), RED), "JPEG")
    assert decoded(content).shape == (378, 504, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_large_pictures_of_other_kinds_keep_their_size(draft_side, kind):
    side = 4 * draft_side
    assert decoded(encoded(halves(side, side), kind)).shape == (side, side, 3)


TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


def cut_off(image: Image.Image, **options: object) -> bytes:
    content = encoded(image, "JPEG", **options)
    return content[: len(content) // 2]


BROKEN = {
    "empty": b"",
    "text": b"these are words",
    "half a JPEG": encoded(halves(400, 400), "JPEG")[:900],
    "half a JPEG that is turned": encoded(halves(400, 400), "JPEG", exif=TURNED)[:900],
    "half a large JPEG": cut_off(large(2)),
    "half a large JPEG that is turned": cut_off(large(2), exif=TURNED),
    "half a PNG": encoded(halves())[:60],
    "half a BMP": encoded(halves(), "BMP")[:100],
    "half a WebP": encoded(halves(200, 200), "WEBP", lossless=True)[:40],
    "half a TIFF": encoded(halves(), "TIFF")[:100],
    "HEIC": b"\0\0\0\x18ftypheic" + b"\0" * 40,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_whole_picture_is_an_error_in_one_line(content):
    with pytest.raises(tf.errors.OpError):
        decoded(content)
    with pytest.raises(ValueError, match=r"^.+$") as refusal:
        decoding.read(content)
    assert "\n" not in str(refusal.value)
    assert "0x" not in str(refusal.value)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it reads all the same
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_whatever_bytes_are_wrong_it_is_a_picture_or_an_error_in_one_line(kind):
    whole = np.frombuffer(encoded(halves(64, 64), kind, **({"exif": TURNED} if kind == "JPEG" else {})), np.uint8)
    rng, refused = np.random.default_rng(0), list[str]()
    for _ in range(300):
        damaged = whole.copy()
        places = rng.integers(4, len(damaged), rng.integers(1, 8))
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            picture = decoding.read(damaged.tobytes())
        except ValueError as error:
            refused.append(str(error))
        else:
            assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    assert refused
    assert [text for text in refused if "\n" in text] == []


def test_an_orientation_that_stands_in_xmp_alone_turns_nothing():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    content = encoded(halves(40, 20), "JPEG", xmp=xmp)
    assert decoding.read(content).shape == decoded(content).shape == (20, 40, 3)


def test_a_picture_whose_exif_is_damaged_is_shown_as_it_lies():
    content = encoded(halves(40, 20), "JPEG", exif=TURNED.replace(b"MM\0*", b"XX\0*"))
    assert is_halves(decoding.read(content))
    assert is_halves(decoded(content))


def test_a_damaged_picture_is_called_so():
    with pytest.raises(ValueError, match=r"^a damaged JPEG picture$"):
        decoding.read(b"\xff\xd8\xffnope")


def test_kinds_that_are_not_named_are_no_pictures_though_pillow_knows_them():
    for content in (encoded(halves(), "ICO"), encoded(halves(), "PPM"), b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop"):
        with pytest.raises(ValueError, match=r"^no picture$"):
            decoding.read(content)
