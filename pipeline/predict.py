"""What a model says of pictures: the likeliest classes with their probabilities, or "none of these".

    python -m pipeline.predict --model exported/digits-mobilenet_0.5_96-int8.tflite shots/ cat.jpg 'more/*.png'
    find . -name '*.jpg' | python -m pipeline.predict --model FILE.tflite --format jsonl -

A file of pipeline.export is run by LiteRT or ONNX Runtime, without TensorFlow; a file of Keras' own and an address in
MLflow (models:/..., runs:/...) by Keras.
Pictures that cannot be read are named and passed over; the exit code is 3 then.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Sequence

from pipeline.config import MODEL_PREFIXES, PredictConfig
from pipeline.device import asking, telling
from pipeline.shell import cli, progress

EXIT_UNREADABLE = 3


def predict(config: PredictConfig) -> int:
    """Prints the answers. Returns how many pictures could not be read; each is named.

    Raises UserError where there is no such model, or no picture.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape", newline="")  # names are bytes, of whatever encoding
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks a letter
    paths = asking.files(config.pictures, sys.stdin)
    asked = _of_mlflow(config) if config.model.startswith(MODEL_PREFIXES) else asking.of_file(config.model)
    asked = asked.rejecting(config.reject)
    tell = telling.teller(config.format, asked.class_names, config.top, asked.reject_below)
    unreadable = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of Pillow, about what it reads all the same
        if config.format != "table" and sys.stdout.isatty():
            stack.enter_context(progress.no_bars())  # which the lines would run into
        advance = stack.enter_context(progress.bar("pictures", len(paths), "img"))
        for path, answer in asking.answers(asked, paths):
            if isinstance(answer, str):
                unreadable += 1
                progress.note(f"passed over: {asking.printable(str(path))}: {answer}")
            else:
                tell.one(path, answer)
            advance(1)
    tell.end()
    return unreadable


def _of_mlflow(config: PredictConfig) -> asking.Asked:
    """By Keras, as the model was trained."""
    from pipeline import tracking
    from pipeline.networks import devices

    devices.set_up()
    tracker = tracking.connect(config.experiment, make=False)
    run_id = tracker.run_of(config.model)
    model, names = tracker.load_model(run_id), tracker.class_names(run_id)
    below = tracker.metrics(run_id).get("reject_below", 0.0)
    return asking.of_keras(model, names, below)


def main(argv: Sequence[str] | None = None) -> None:
    """Answers the pictures that the flags name."""
    try:
        unreadable = predict(cli.parse(PredictConfig, argv))
        sys.stdout.flush()
    except BrokenPipeError:  # as where `head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if unreadable:
        sys.exit(EXIT_UNREADABLE)


if __name__ == "__main__":
    cli.run(main)
