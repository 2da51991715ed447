"""The card of a file, in Markdown for people and in JSON for programs: what it is, how good, what it costs and wants.

Eight test pictures lie beside it, with the answers that the file gave: whoever integrates it proves with them that his
preprocessing is ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.config import TrainConfig, as_params
from pipeline.datasets import Split, resizing, streams
from pipeline.device import check, contract, pictures, running, snippets
from pipeline.device.check import Check
from pipeline.device.contract import DeviceFile
from pipeline.scoring.published import imagenet_note

SHOWN = 8
SEED = 0
_PROTOCOL = ("backbone", "weights", "freeze_conv", "protocol", "epochs", "lr_schedule", "l2", "seed", "val_fraction")

_DATA_LICENCES = {
    "stanford_dogs": "Stanford Dogs: pictures of ImageNet, for research that is not commercial",
    "cifar10": "CIFAR-10: no licence is stated by its authors",
    "digits": "digits: Optical Recognition of Handwritten Digits, UCI, CC BY 4.0",
    "letters": "letters: drawn with the fonts of matplotlib, which may be used freely",
}
_WEIGHT_LICENCES = {
    "imagenet": "ImageNet weights of keras-applications, Apache-2.0; the pictures that they were trained on are for "
    "research that is not commercial, and whether that binds the weights is disputed",
    "tiny": "tiny weights of alpharho, Apache-2.0",
    "none": "no weights of others",
}


@dataclass(frozen=True)
class Known:
    """What is known of a model beside its files.

    Attributes:
        metrics: of its run: test_top1, params_total, mult_adds and others, as far as they are there.
        weights: that it began with.
    """

    trained: TrainConfig
    metrics: Mapping[str, float]
    weights: str


def write(checked: Check, known: Known, test: Split, margin: float) -> None:
    """Writes NAME.md, NAME.json and the pictures beside a file; the pictures are shared by all files of a cell.

    Raises UserError where the file is not whole, or a picture cannot be decoded.
    """
    file = contract.read(checked.path)
    shown = _pictures(file, test)
    told = as_json(file, checked, known, shown, margin)
    checked.path.with_suffix(".json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    checked.path.with_suffix(".md").write_text(as_markdown(told, checked.path.name), encoding="utf-8")


def as_json(
    file: DeviceFile, checked: Check, known: Known, shown: list[dict[str, Any]], margin: float
) -> dict[str, Any]:
    """The contract, and all that the card says beside it."""
    params = as_params(known.trained)
    licences = [
        _DATA_LICENCES.get(known.trained.dataset, f"{known.trained.dataset}: ask who made these pictures"),
        _WEIGHT_LICENCES.get(known.weights, f"weights of {Path(known.weights).name}: ask who made them"),
        "alpharho, which made the file: Apache-2.0",
    ]
    caveat = imagenet_note(known.trained.dataset, known.weights)
    loss, least, most = checked.loss
    return {
        **file.contract.as_json(file.sha256),
        "verdict": check.verdict(checked, margin),
        "test": {
            "pictures": checked.versus_model.pictures,
            **{"top1": checked.top1, "interval": checked.interval},
            **{"loses_points": loss, "loses_interval": [least, most], "agreement": checked.agreement},
            "model": {name: value for name, value in known.metrics.items() if name.startswith("test_")},
        },
        "cost": {
            **{name: known.metrics[name] for name in ("params_total", "mult_adds") if name in known.metrics},
            "bytes": checked.size,
            "processor": checked.processor,
            "latencies": [asdict(one) for one in checked.latencies],
        },
        "protocol": {name: params[name] for name in _PROTOCOL},
        "licences": licences,
        "caveats": [caveat] if caveat else [],
        "examples": shown,
    }


def as_markdown(told: Mapping[str, Any], file: str) -> str:
    """The same for people, with an example for Python and, but for Keras' own files, one for Android.

    Args:
        file: its name.
    """
    test, cost, wants = told["test"], told["cost"], told["input"]
    low, high = (100 * bound for bound in test["interval"])
    model = test["model"].get("test_top1")
    times = [
        f"| {one['threads']} | {' | '.join(f'{one[name]:.1f}' for name in _TIMES)} | {one['memory'] / 1e6:.0f} |"
        for one in cost["latencies"]
    ]
    sizes = [f"{cost[name] / 1e6:.2f} M {text}" for name, text in _SIZES.items() if name in cost]
    examples = [
        f"| {one['file']} | {one['truth']} | {one['top'][0]['class']} | {one['top'][0]['probability']:.3f} |"
        for one in told["examples"]
    ]
    return _MARKDOWN.format(
        **{"file": file, "stem": Path(file).stem, "cell": told["cell"], "dataset": told["dataset"]},
        kind=_KINDS.get(told["precision"], told["precision"]),
        **{"verdict": told["verdict"], "pictures": f"{test['pictures']:,}", "digest": told["pictures"]},
        top1=f"{100 * test['top1']:.1f} % [{low:.1f}, {high:.1f}]",
        model="" if model is None else f"; the model's own is {100 * model:.1f} %",
        sizes=", ".join([f"{cost['bytes'] / 1e6:.2f} MB", *sizes]),
        processor=cost["processor"],
        times="\n".join(times),
        protocol=", ".join(f"{name} {value}" for name, value in told["protocol"].items()),
        wants="\n".join(f"- {name.replace('_', ' ')}: {text}" for name, text in _wanted(wants).items()),
        gives=f"{told['output']['shape'][1]} probabilities, {told['output']['type']}",
        below=f"{told['reject_below']:.3f}",
        notes="\n".join(
            f"- {text}" for text in [*told["caveats"], *_NOTES.get(told["precision"], ()), *told["licences"]]
        ),
        examples="\n".join(examples),
        python=snippets.python(file, told["precision"]),
        android=_ANDROID.format(kotlin=kotlin) if (kotlin := snippets.kotlin(told)) else "",
    )


_TIMES = ("init_ms", "first_ms", "p50_ms", "p90_ms", "p95_ms")
_SIZES = {"params_total": "parameters", "mult_adds": "mult-adds"}
_NOTES = {
    "int8": (
        "weights have a scale for each channel, as processors want it; some accelerators are fast with one for a whole "
        "layer alone, and run this file elsewhere, or slowly",
    )
}
_MARKDOWN = """# {file}

A classifier of {dataset}: {cell} in {kind}.

{verdict}.

Test top-1 {top1} on {pictures} pictures{model}.

## What it costs

{sizes}. Milliseconds of one picture on {processor}; a phone's are others:

| threads | init | first | p50 | p90 | p95 | memory, MB |
|---|---|---|---|---|---|---|
{times}

## What it wants

{wants}

It gives {gives}. Where the largest is below {below} the answer is "none of these". The names of the classes stand in
{stem}.json, and in the file's own metadata.

## Proof

Each of these pictures must come out as here; {stem}.json has all probabilities, and the SHA-256 of the resized pixels.

| picture | shows | answer | probability |
|---|---|---|---|
{examples}

## How it was trained

{protocol}. Training pictures: {digest}.

## Notes

{notes}

## Python

```python
{python}```
{android}"""
_ANDROID = """
## Android, not compiled by us

```kotlin
{kotlin}```
"""
_KINDS = {"onnx": "float32, for ONNX Runtime", "keras": "float32, for Keras"}


def _wanted(wants: Mapping[str, Any]) -> dict[str, str]:
    flat = {name: value for name, value in wants.items() if name != "decoder"}
    return {name: str(value) for name, value in {**flat, **wants["decoder"]}.items() if name != "version"}


def _pictures(file: DeviceFile, test: Split) -> list[dict[str, Any]]:
    """Writes some test pictures in full size beside the file, and tells what it says of them."""
    about = file.contract
    folder = file.path.with_name(f"{file.path.stem.removesuffix(f'-{about.precision}')}-pictures")
    folder.mkdir(exist_ok=True)
    runner = running.Runner(file, lanes=1)
    indices = pictures.some_of(len(test), SHOWN, SEED)
    told: list[dict[str, Any]] = []
    for index, (picture, label) in zip(indices.tolist(), streams.arrays(test.pictures(indices)), strict=True):
        path = folder / f"{len(told) + 1}.png"
        Image.fromarray(picture).save(path)
        small = resizing.to_bytes(picture, about.side)
        probabilities = runner(small)
        likeliest = [(int(one), float(probabilities[one])) for one in running.top(probabilities, 5)]
        told.append(
            {
                **{"file": f"{folder.name}/{path.name}", "picture": test.ids[index]},
                "truth": about.class_names[int(label)],
                "pixels_sha256": hashlib.sha256(np.ascontiguousarray(small).data).hexdigest(),
                "top": [{"class": about.class_names[one], "probability": share} for one, share in likeliest],
                "probabilities": [round(float(one), 7) for one in probabilities],
            }
        )
    return told
