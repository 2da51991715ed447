"""Eight clients ask a server for a minute, one picture after the other: how many answers, how many failed, how long.

python -m tests.bench.serving FILE.tflite FOLDER
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline.device import asking

CLIENTS, SECONDS = 8, 60.0


def main(file: str, folder: str) -> None:
    asked, paths = asking.of_file(file), asking.files([folder], ())
    read = asking.answers(asked, paths)
    pictures = [path.read_bytes() for path, answer in read if not isinstance(answer, str)]  # others are refused
    command = [sys.executable, "-m", "pipeline.serve", "--port", "0", "--model", file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.findall(r"http://([^/]+)/predict", server.stdout.readline())[0]
            before = _memory(server.pid)
            with ThreadPoolExecutor(CLIENTS) as clients:
                told = [clients.submit(_ask, address, pictures[index:] + pictures[:index]) for index in range(CLIENTS)]
                answers = [one for future in told for one in future.result()]
            after = _memory(server.pid)
        finally:
            server.kill()
    taken = 1e3 * np.array([seconds for _status, seconds in answers])
    failed = sum(status != 200 for status, _seconds in answers)
    half, most = np.quantile(taken, [0.5, 0.99])
    size = np.mean([len(picture) for picture in pictures])
    print(
        f"{CLIENTS} clients for {SECONDS:.0f} s, {len(pictures)} pictures of {size / 1e3:,.0f} kB: "
        f"{len(answers):,} answers, {failed} failed, {len(answers) / SECONDS:,.0f} a second; "
        f"ms: p50 {half:.0f}, p99 {most:.0f}; "
        f"memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB"
    )


def _ask(address: str, pictures: list[bytes]) -> list[tuple[int, float]]:
    """(status, seconds) of each."""
    connection, found, end = http.client.HTTPConnection(address, timeout=60), [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.perf_counter()
        connection.request("POST", "/predict", pictures[len(found) % len(pictures)], {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        response.read()
        found.append((response.status, time.perf_counter() - begun))
    return found


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
