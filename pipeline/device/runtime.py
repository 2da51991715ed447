"""LiteRT.js, which runs a file in a browser: two packages of npm, pinned by their hashes and never committed."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.shell.errors import UserError

PATIENCE = 300  # s, with npm
VERSION = "2.5.3"  # of 2026, Apache-2.0


@dataclass(frozen=True)
class Package:
    """One of npm's.

    Attributes:
        integrity: SHA-512 of the packed file in base64, as npm tells it.
        taken: member -> its path below the folder of the runtime.
    """

    name: str
    integrity: str
    taken: dict[str, str]

    @property
    def packed(self) -> str:
        """The file's name, as `npm pack` chooses it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{VERSION}.tgz"


_WASM = ("litert_wasm_internal", "litert_wasm_compat_internal")  # the second where a browser lacks relaxed SIMD
PACKAGES = (
    Package(
        "@litertjs/core",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        {
            "package/dist/index.js": "core.js",
            **{f"package/wasm/{name}.{end}": f"wasm/{name}.{end}" for name in _WASM for end in ("js", "wasm")},
        },
    ),
    Package(
        "@litertjs/wasm-utils",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        {"package/dist/index.js": "wasm-utils.js"},
    ),
)


def unpack(folder: Path, given: str, cache: Path) -> None:
    """Writes core.js, wasm-utils.js and wasm/ into `folder`.

    Args:
        given: a folder that holds the packed files; empty: npm fetches them, once, into `cache`.

    Raises UserError where they are not there, cannot be fetched, or are not those that are pinned.
    """
    packed_files = contents(given, cache)
    for package in PACKAGES:
        with tempfile.TemporaryFile() as file:
            file.write(packed_files[package.name])
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as packed:
                for member, path in package.taken.items():
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.extractfile(member) as part, target.open("wb") as out:  # type: ignore[union-attr]
                        shutil.copyfileobj(part, out)


def contents(given: str, cache: Path) -> dict[str, bytes]:
    """Name of a package -> packed file, checked. See unpack."""
    found = {}
    for package in PACKAGES:
        path = Path(given or cache, package.packed)
        if not given and not (path.is_file() and _is_published(package, path.read_bytes())):
            _fetch(package, cache)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"wanted {path.name} in {path.parent}. Received: {error.strerror}. {_HINT}") from error
        if not _is_published(package, content):
            raise UserError(f"wanted {path.name} as it was published. Received: {path}, another file. {_HINT}")
        found[package.name] = content
    return found


def _is_published(package: Package, content: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == package.integrity


def _fetch(package: Package, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"wanted npm, to fetch {package.name} {VERSION}. Received: no such command. {_HINT}")
    command = [npm, "pack", f"{package.name}@{VERSION}", "--pack-destination", str(cache), "--silent"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0] if done.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"nothing within {PATIENCE} s"
    if reason:
        raise UserError(f"wanted npm to fetch {package.name} {VERSION}. Received: {reason}. {_HINT}")


_HINT = f"Try: --runtime FOLDER with {' and '.join(package.packed for package in PACKAGES)}, of `npm pack` elsewhere"
