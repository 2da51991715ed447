"""What a file wants and what it answers: the part that lies in the file itself, and beside it as JSON.

Whoever integrates a file must give it what it was trained on: the pixels that our decoder makes, resized our way, in
our order of channels. The contract says so, names the classes, and tells below which probability "none" is the answer.

It also holds a hash of the whole file, so that one that is cut off, or that another program made, is refused before
anything runs it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets import decoding, resizing
from pipeline.device import packing
from pipeline.shell.errors import UserError

NAME = "alpharho"  # of the metadata
VERSION = 1
_BEGIN = b'{"alpharho_contract": '
_BLANK = "0" * 64  # in place of the hash while it is computed
_LARGEST = 2**31  # bytes that a FlatBuffer may have

DECODER = {
    "exif": "turned upright as the EXIF tag says, before anything else",
    "colours": "RGB; grey and CMYK become RGB, palettes their colours, transparent parts lie over white",
    "depth": "16 bits are scaled to 8 by the range that they use; colour profiles are not heeded",
    "large_jpegs": f"decoded to 1/2, 1/4 or 1/8 of their sides, as far as the shorter keeps {decoding.DRAFT_SIDE} px",
    "version": decoding.VERSION,
}


@dataclass(frozen=True)
class Contract:
    """Of one file.

    Attributes:
        cell: such as mobilenet_0.75_224.
        precision: float32, float16 or int8 by LiteRT; onnx or keras, which compute in single precision.
        side: of the input, px.
        class_names: of each output, in order.
        reject_below: the probability below which "none of these" is the answer; 0 is never.
        dataset: name and version of what it was trained on; pictures: the digest of these pictures.
        run_id: of the MLflow run that holds the model.
    """

    cell: str
    precision: str
    side: int
    class_names: tuple[str, ...]
    reject_below: float = 0.0
    dataset: str = ""
    pictures: str = ""
    run_id: str = ""

    def as_json(self, sha256: str = "") -> dict[str, Any]:
        """As it is written; `sha256` is the file's own."""
        return {
            "alpharho_contract": VERSION,
            "sha256": sha256,
            **asdict(self),
            "input": {
                "shape": [1, self.side, self.side, 3],
                "type": "uint8",
                "range": [0, 255],
                "channels": "RGB",
                "decoder": DECODER,
                "resize": f"to {self.side} x {self.side} px: {resizing.METHOD}",
                "scaling": "none: it is a part of the file",
            },
            "output": {
                "shape": [1, len(self.class_names)],
                "meaning": "probabilities of the classes, calibrated",
                "type": "uint8, probability = value / 256" if self.precision == "int8" else "float32",
            },
        }


@dataclass(frozen=True)
class DeviceFile:
    """A file that alpharho exported, whole.

    Attributes:
        sha256: as its contract says and its content proves.
    """

    path: Path
    content: bytes
    contract: Contract
    sha256: str


def sealed(model: bytes, contract: Contract) -> bytes:
    """The file with the contract, and the hash of it all, among its metadata.

    Raises UserError where a file of Keras has no room for so many names of classes.
    """
    text = json.dumps(contract.as_json(_BLANK))
    blank = packing.with_text(model, NAME, text)
    digest = hashlib.sha256(blank).hexdigest().encode()
    at = blank.rfind(_BEGIN)
    return blank[:at] + blank[at:].replace(_BLANK.encode(), digest, 1)


def read(path: str | Path) -> DeviceFile:
    """Reads a file and its contract. Imports neither TensorFlow nor what runs the file.

    Raises UserError, in one line, where it is not there, no such file, not ours, or not whole.
    """
    path = Path(path)
    content = _content(path)
    if not packing.is_known(content):
        raise _refusal(path, "which is no LiteRT, ONNX or Keras file")
    at = content.rfind(_BEGIN)
    if at < 0:
        raise _refusal(path, "a file of another program, or one that is cut off: it holds no contract")
    try:
        written, _end = json.JSONDecoder().raw_decode(content[at:].decode("ascii", "replace"))
        version, digest = written["alpharho_contract"], str(written["sha256"])
        known = {name: written[name] for name in Contract.__dataclass_fields__}
        contract = Contract(**{**known, "class_names": tuple(known["class_names"])})
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _refusal(path, "which is damaged or cut off: its contract cannot be read") from None
    if version != VERSION:
        raise _refusal(path, f"one with a contract of version {version}, and not {VERSION}")
    blank = content[:at] + content[at:].replace(digest.encode(), _BLANK.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise _refusal(path, "which is damaged or cut off: it is not what its own hash says")
    return DeviceFile(path, content, contract, digest)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise _refusal(path, f"one of more than {_LARGEST} bytes")
        return path.read_bytes()
    except OSError as error:
        raise _refusal(path, f"{error.strerror}") from None


def _refusal(path: Path, received: str) -> UserError:
    return UserError(
        f"wanted a file that alpharho exported. Received: {path}, {received}. "
        "Try: python -m pipeline.export, or copy the file again"
    )
