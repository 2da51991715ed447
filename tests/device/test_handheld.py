"""The page for phones, in a real browser and with the real runtime: it answers as the file does."""

from __future__ import annotations

import http.client
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.device import contract, handheld, running, runtime
from pipeline.shell.errors import UserError

ROOT = Path(__file__).parents[2]
FORMATS = ("float32", "int8")
NONE = "none of these"
TURNED = 6  # EXIF: the picture's upper edge is at its right


@pytest.fixture(scope="module")
def web(device_files, tmp_path_factory) -> Path:
    """A folder as --web writes it, of two files of digits with the contracts for cards."""
    folder = tmp_path_factory.mktemp("web")
    files = []
    for name in FORMATS:
        file = contract.read(device_files.file(name))
        files.append(folder / "given" / f"{name}.tflite")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_bytes(file.content)
        files[-1].with_suffix(".json").write_text(json.dumps(file.contract.as_json(file.sha256)))
    try:
        handheld.write(files, folder / "web", "", tmp_path_factory.getbasetemp() / "litert.js")
    except UserError as refusal:
        if "wanted npm" in str(refusal):
            pytest.skip(str(refusal))
        raise
    return folder / "web"


@pytest.fixture(scope="module")
def address(web, device_files) -> Iterator[str]:
    """Of `pipeline.serve --web`."""
    command = [sys.executable, "-m", "pipeline.serve", "--port", "0", "--model", str(device_files.file("int8"))]
    with subprocess.Popen([*command, "--web", str(web)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"the page for phones on (http://\S+)/;", process.stdout.readline())[1]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def page(browser, address):
    opened = browser.new_page(viewport={"width": 400, "height": 800})
    wrong, asked = [], []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"{address}/")
    opened.get_by_text("Ready.", exact=True).wait_for()
    yield opened
    assert wrong == []
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []  # nothing leaves the phone
    opened.close()


def shown(page, name: str, content: bytes) -> tuple[str, dict[str, float]]:
    """The answer, and the probabilities of the likeliest classes."""
    kind = "image/png" if name.endswith("png") else "image/jpeg"
    page.set_input_files("#picture", {"name": name, "mimeType": kind, "buffer": content})
    article = page.locator('#answers[aria-busy="false"] article').first
    article.wait_for()
    lines = article.locator("li").all_text_contents()
    told = {line.rsplit(" ", 2)[0]: float(line.rsplit(" ", 2)[1]) / 100 for line in lines}
    return article.locator(".best").text_content(), told


def encoded(picture: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_it_answers_as_the_file_does(page, device_files, name):
    runner = running.Runner(contract.read(device_files.file(name)), lanes=1)
    page.select_option("#first", f"{name}.tflite")
    for picture in device_files.array("test")[:8]:
        expected = runner(picture)
        answer, told = shown(page, "shot.png", encoded(picture))
        best = int(expected.argmax())
        wanted = str(best) if expected[best] >= runner.file.contract.reject_below else NONE
        assert answer == wanted
        assert told[str(best)] == pytest.approx(expected[best], abs=0.0011)  # a tenth of a per cent is shown


def test_pictures_of_phones_are_read_as_the_file_wants_them(page, device_files):
    runner = running.Runner(contract.read(device_files.file("float32")), lanes=1)
    page.select_option("#first", "float32.tflite")
    small = Image.fromarray(device_files.array("test")[3])
    noise = np.random.default_rng(0).integers(-60, 60, (1500, 2001, 1))
    phone = np.clip(np.asarray(small.resize((2001, 1500))) + noise, 0, 255).astype(np.uint8)  # which is scaled down
    large = np.asarray(small.resize((640, 480)))
    exif = Image.Exif()
    exif[274] = TURNED
    clear = np.concatenate([np.zeros_like(large), 255 - large[..., :1]], axis=-1)
    jpeg = {"kind": "JPEG", "quality": 97, "subsampling": 0}
    for name, content in (
        ("turned.jpg", encoded(np.rot90(large), exif=exif.tobytes(), **jpeg)),
        ("phone.jpg", encoded(phone, **jpeg)),
        ("turned phone.jpg", encoded(np.rot90(phone), exif=exif.tobytes(), **jpeg)),
        ("clear.png", encoded(clear)),
    ):
        expected = runner(runner.shown(content))
        answer, told = shown(page, name, content)
        best = int(expected.argmax())
        assert told[str(best)] == pytest.approx(expected[best], abs=0.01), name
        sure = abs(expected[best] - runner.file.contract.reject_below) > 0.01
        assert not sure or answer == (str(best) if expected[best] > runner.file.contract.reject_below else NONE), name


def test_a_picture_that_is_chosen_while_the_runtime_loads_is_answered(browser, address, device_files):
    opened = browser.new_page()
    opened.goto(f"{address}/", wait_until="commit")
    content = encoded(device_files.array("test")[0])
    opened.set_input_files("#picture", {"name": "shot.png", "mimeType": "image/png", "buffer": content})
    opened.locator("#answers article").first.wait_for()
    opened.locator("#measure:enabled").wait_for()
    opened.close()


def test_two_models_stand_side_by_side_and_are_measured(page, device_files):
    page.select_option("#first", "float32.tflite")
    page.select_option("#second", "int8.tflite")
    shown(page, "shot.png", encoded(device_files.array("test")[0]))
    page.locator("#answers article").nth(1).wait_for()
    page.click("#measure")
    page.locator("#rows").wait_for()
    rows = page.input_value("#rows").splitlines()
    assert rows[0] == "cell,precision,p50_ms,p95_ms,runs,device"
    assert [row.split(",")[:2] for row in rows[1:]] == [["mobilenet_0.25_48", name] for name in FORMATS]
    assert all(0 < float(row.split(",")[2]) <= float(row.split(",")[3]) for row in rows[1:])
    page.select_option("#second", "")


@pytest.mark.parametrize("content", [b"", b"words", b"\xff\xd8\xff\xe0 cut off", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_said_on_the_page_and_the_next_is_answered(page, device_files, content):
    page.set_input_files("#picture", {"name": "odd.jpg", "mimeType": "image/jpeg", "buffer": content})
    page.get_by_text("That did not work: odd.jpg is no picture that this browser can read").wait_for()
    assert page.locator("#answers article").count() == 0
    shown(page, "shot.png", encoded(device_files.array("test")[0]))


def test_nothing_beside_the_folder_is_served(web, address):
    (web.parent / "secret").write_text("words")
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret"):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        connection.request("GET", path)
        assert connection.getresponse().status == 404, path
        connection.close()


def test_a_second_export_is_shown_beside_the_first(web, tmp_path):
    assert json.loads((web / handheld.MODELS).read_text()) == ["float32.tflite", "int8.tflite"]
    other = tmp_path / "another.tflite"
    other.write_bytes((web / "int8.tflite").read_bytes())
    other.with_suffix(".json").write_bytes((web / "int8.json").read_bytes())
    packed = next(web.parents[1].rglob(runtime.PACKAGES[0].packed)).parent
    handheld.write([other], web, str(packed), tmp_path)
    assert json.loads((web / handheld.MODELS).read_text()) == ["another.tflite", "float32.tflite", "int8.tflite"]
