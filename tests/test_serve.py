"""The server: a process of its own, since what is promised is what a client sees of it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import serve
from pipeline.shell.errors import UserError

ROOT = Path(__file__).parents[1]
JPEG = {"Content-Type": "image/jpeg"}
LIMITS = ("--max_bytes", "200000", "--max_pixels", "1000000", "--max_waiting", "4")


@pytest.fixture(scope="module")
def server(device_files) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process, and its port."""
    command = (sys.executable, "-m", "pipeline.serve", "--port", "0", *LIMITS)
    process = subprocess.Popen(
        (*command, "--model", device_files.file("int8")),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    port = int(re.search(r":(\d+)/predict", process.stdout.readline())[1])
    yield process, port
    process.kill()
    process.wait()


def asked(server, method="GET", path="/health", body=None, headers=None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def shown(server, body: bytes, headers=JPEG) -> tuple[int, dict]:
    status, told = asked(server, "POST", "/predict", body, headers)
    return status, json.loads(told)


def encoded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def wait_for(server, line: str) -> None:
    """Of the counts."""
    until = time.monotonic() + 25
    while line not in asked(server, path="/metrics")[1]:
        assert time.monotonic() < until, f"no {line!r}"
        time.sleep(0.05)


def form(*files: bytes) -> tuple[bytes, dict[str, str]]:
    parts = [
        b'--frontier\r\nContent-Disposition: form-data; name="pictures"; filename="%d.png"\r\n\r\n%s\r\n'
        % (number, file)
        for number, file in enumerate(files)
    ]
    return b"".join(parts) + b"--frontier--\r\n", {"Content-Type": "multipart/form-data; boundary=frontier"}


def resident(process: subprocess.Popen[str]) -> int:
    """MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def test_a_picture_is_answered_as_predict_answers_it(server, device_files):
    status, told = shown(server, encoded(device_files.array("test")[0]))
    assert status == 200
    (answer,) = told["answers"]
    assert answer["top"][0]["class"] == str(device_files.array("labels")[0])
    assert len(answer["top"]) == 5
    assert told["model"] == "int8.tflite"


def test_of_several_pictures_each_is_told_by_its_name_and_a_broken_one_with_its_reason(server, device_files):
    first, second = map(encoded, device_files.array("test")[:2])
    status, told = shown(server, *form(first, first[:40], second))
    assert status == 200
    assert [one["picture"] for one in told["answers"]] == ["0.png", "1.png", "2.png"]
    assert ["error" in one for one in told["answers"]] == [False, True, False]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"no picture", JPEG, 422, id="garbage"),
        pytest.param(b"", JPEG, 422, id="nothing"),
        pytest.param(b"{}", {"Content-Type": "application/json"}, 415, id="JSON"),
        pytest.param(bytes(200_001), JPEG, 413, id="too many bytes"),
        pytest.param(encoded(np.zeros((1001, 1000), np.uint8)), JPEG, 413, id="too many pixels"),
        pytest.param(form()[0], form()[1], 422, id="an empty form"),
        pytest.param(b"--frontier", {"Content-Type": "multipart/form-data"}, 400, id="a form without a boundary"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_status_and_reason(server, body, headers, status):
    told = shown(server, body, headers)
    assert told[0] == status
    assert told[1]["detail"]


def test_a_bomb_of_pixels_is_refused_by_its_header(server):
    """The header of a picture of 20,000 x 20,000; what comes after it is not looked at."""
    small = encoded(np.zeros((1, 1), np.uint8))
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + small[24:29]
    bomb = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    status, told = shown(server, bomb)
    assert status == 413
    assert "400,000,000 pixels" in told["detail"] or "inf pixels" in told["detail"]


def test_a_body_without_a_length_is_cut_off_at_the_limit(server):
    pieces = iter([bytes(100_000)] * 3)
    status, _told = asked(server, "POST", "/predict", pieces, JPEG)
    assert status == 413


def test_more_than_may_wait_are_told_to_come_again(server):
    """The pieces of a body keep their request waiting; the fifth that waits is refused."""
    waiting = [http.client.HTTPConnection("127.0.0.1", server[1], timeout=60) for _ in range(4)]
    for one in waiting:
        one.putrequest("POST", "/predict")
        one.putheader("Content-Type", "image/jpeg")
        one.putheader("Content-Length", "1000")
        one.endheaders(b"\xff\xd8")
    wait_for(server, "alpharho_waiting 4")
    assert shown(server, b"no picture")[0] == 429
    for one in waiting:
        one.close()
    wait_for(server, "alpharho_waiting 0")
    assert shown(server, b"no picture")[0] == 422


def test_garbage_without_end_takes_no_memory_and_is_counted(server):
    rng = np.random.default_rng(0)
    bodies = [rng.bytes(int(size)) for size in rng.integers(1, 20_000, 200)]
    bodies += [b"\xff\xd8\xff\xe0" + body for body in bodies]
    for body in bodies:
        asked(server, "POST", "/predict", body, JPEG)
    before = resident(server[0])
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda body: shown(server, body)[0], bodies * 5))
    assert set(statuses) <= {422, 429}
    assert resident(server[0]) - before < 30
    counted = dict(re.findall(r'status="(\d+)"} (\d+)', asked(server, path="/metrics")[1]))
    assert int(counted["422"]) >= statuses.count(422)


def test_it_tells_of_itself(server):
    status, told = asked(server)
    assert (status, json.loads(told)) == (200, {"status": "ok", "model": "int8.tflite", "classes": 10})
    paths = json.loads(asked(server, path="/openapi.json")[1])["paths"]
    assert {"/predict", "/health", "/metrics"} <= paths.keys()
    assert "image/*" in paths["/predict"]["post"]["requestBody"]["content"]


def test_it_listens_on_this_machine_alone_and_a_port_in_use_is_an_error_in_one_line(server, device_files):
    other = ["--model", str(device_files.file("int8")), "--port", str(server[1])]
    with pytest.raises(UserError, match=r"wanted to listen on 127.0.0.1:\d+. Received: .* Try: another --port"):
        serve.main(other)


def test_no_tensorflow_is_imported_and_an_interrupt_ends_it(device_files):
    code = (
        "import atexit, sys; from pipeline import serve; from pipeline.shell import cli;"
        "atexit.register(lambda: print([name for name in ('tensorflow', 'keras', 'mlflow') if name in sys.modules]));"
        "cli.run(serve.main)"
    )
    command = (sys.executable, "-c", code, "--port", "0", "--model", device_files.file("int8"))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            printed, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # or the block would wait for one that goes on
    assert printed.splitlines()[-1:] == ["[]"]
    assert (process.returncode, errors) == (130, "interrupted.\n")
