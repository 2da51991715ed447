"""What can be set of the commands that take a model to a device: which model, its files, and their answers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from pipeline.config.documents import ReportConfig, check_margin
from pipeline.config.settings import DataConfig, EvaluateConfig
from pipeline.config.spelling import spell
from pipeline.shell.errors import require

Format = Literal["float32", "float16", "int8", "onnx", "keras"]
LITERT_FORMATS: tuple[Format, ...] = ("float32", "float16", "int8")
DEVICE_FORMATS: tuple[Format, ...] = (*LITERT_FORMATS, "onnx")
Shown = Literal["table", "jsonl", "csv"]

MODEL_PREFIXES = ("models:/", "runs:/")


@dataclass(frozen=True, kw_only=True)
class ExportConfig(EvaluateConfig):
    """Which model becomes files for a device, and which files."""

    model: str = ""
    """in place of a run: models:/NAME@ALIAS, models:/NAME/VERSION or models:/ID"""
    formats: tuple[Format, ...] = LITERT_FORMATS
    """of the files: float32, float16 and int8 for LiteRT; onnx, which wants the extra onnx; keras"""
    output: str = "exported"
    """folder for the files"""
    web: bool = False
    """also write a page into OUTPUT/web that runs these files in the browser of a phone"""
    runtime: str = ""
    """folder with the two packages of LiteRT.js, as `npm pack` leaves them; none: npm fetches them, once"""
    calibration: int = 200
    """training pictures by which int8 is told the range of each layer"""
    margin: float = ReportConfig.margin
    """points of top-1 that a file may lose to its model, at most, to be called as good"""

    def __post_init__(self) -> None:
        given = f"--run_id {self.run_id!r} --model {self.model!r}"
        hint = "--run_id ID (see `mlflow ui`), or --model models:/NAME@best"
        require(bool(self.run_id) != bool(self.model), "a run or a model, and not both", given, hint)
        check_model(self.model)
        require(bool(self.formats), "at least one format", spell(self.formats), "--formats float32,int8")
        require(len(set(self.formats)) == len(self.formats), "each format once", spell(self.formats))
        require(bool(self.output), "a folder for the files", self.output, "--output exported")
        runs = not self.web or not set(LITERT_FORMATS).isdisjoint(self.formats)
        require(runs, "a format of LiteRT for the page", spell(self.formats), "--formats float32,int8 --web")
        require(self.web or not self.runtime, "--runtime with --web", f"--runtime {self.runtime}")
        require(self.calibration >= 1, "calibration >= 1", self.calibration)
        check_margin(self.margin)


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What is asked of which pictures."""

    pictures: Annotated[tuple[str, ...], Positional] = ()
    """files, folders, patterns such as 'shots/*.jpg', or - for a list on standard input, a path a line"""
    model: str = ""
    """a file that pipeline.export wrote, or models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID"""
    top: int = 5
    """classes that are shown of each picture, the likeliest first"""
    reject: float | Literal["auto"] = "auto"
    """the probability below which the answer is "none of these"; auto: the model's own; 0: never"""
    format: Shown = "table"
    """table for people; jsonl or csv for programs"""
    experiment: str = DataConfig.experiment
    """MLflow experiment that holds the model, if it is no file"""

    def __post_init__(self) -> None:
        hint = "python -m pipeline.predict --model FILE.tflite PICTURES..."
        require(bool(self.model), "a model", self.model, hint)
        require(bool(self.pictures), "pictures: files, folders, patterns, or - for standard input", "none", hint)
        require(self.top >= 1, "top >= 1", self.top)
        check_reject(self.reject)


@dataclass(frozen=True, kw_only=True)
class ChooseConfig:
    """What a device can bear, and what the best cell and file within that are."""

    max_params: str = ""
    """parameters, such as 2M; of the network with its head"""
    max_mult_adds: str = ""
    """multiplications with additions of one picture, such as 300M"""
    max_bytes: str = ""
    """of the file, such as 4MB; known of cells that were exported"""
    max_latency_ms: float = 0.0
    """of one picture in one thread where the file was checked, its median; 0: any"""
    min_top1: float = 0.0
    """fraction of the validation pictures that are answered rightly, such as 0.8"""
    margin: float = ReportConfig.margin
    """points of top-1 that a cheaper choice may lose to the best, at most, to be called enough"""
    runs: tuple[str, ...] = ()
    """MLflow run of a sweep; none: the newest sweep with results"""
    experiment: str = DataConfig.experiment
    """MLflow experiment that holds it"""

    def __post_init__(self) -> None:
        for name in ("max_params", "max_mult_adds", "max_bytes"):
            amount(getattr(self, name), name)
        require(self.max_latency_ms >= 0, "max_latency_ms >= 0", self.max_latency_ms, "0 sets no limit")
        require(0 <= self.min_top1 <= 1, "a min_top1 from 0 to 1", self.min_top1, "such as 0.8 for 80 %")
        require(len(self.runs) <= 1, "one sweep", spell(self.runs), "--runs ID")
        check_margin(self.margin)


def amount(text: str, name: str) -> float:
    """2M, 300 M, 4MB or 1500000 as a number; infinity where it is empty. Raises UserError where it is none, or 0."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kMG]?)B?", text.strip())
    number = 0.0 if found is None else float(found[1]) * {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]]
    require(not text or number > 0, f"a number above 0 for {name}, such as 2M, 4MB or 1500000", text)
    return number or math.inf


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """What answers over HTTP, where, and how much it bears."""

    model: str = ""
    """a file that pipeline.export wrote"""
    host: str = "127.0.0.1"
    """the address to listen on; 0.0.0.0 for whoever reaches this machine"""
    port: int = 8000
    """0: any that is free"""
    top: int = 5
    """classes that are told of each picture, the likeliest first"""
    reject: float | Literal["auto"] = "auto"
    """the probability below which the answer is none of the classes; auto: the model's own; 0: never"""
    max_bytes: int = 32_000_000
    """of a request; more is refused (413)"""
    max_pixels: int = 50_000_000
    """of a picture; more is refused (413)"""
    max_waiting: int = 64
    """requests at once; further ones are refused (429)"""
    web: str = ""
    """a folder that pipeline.export --web wrote, which is served at /"""
    timeout: float = 30.0
    """seconds that a request may wait for its answer (503)"""

    def __post_init__(self) -> None:
        require(bool(self.model), "a model", self.model, "python -m pipeline.serve --model FILE.tflite")
        require(0 <= self.port <= 65535, "port in 0 ... 65535", self.port)
        for name in ("top", "max_bytes", "max_pixels", "max_waiting"):
            require(getattr(self, name) >= 1, f"{name} >= 1", getattr(self, name))
        require(self.timeout > 0, "timeout > 0", self.timeout)
        check_reject(self.reject)


def check_reject(below: float | Literal["auto"]) -> None:
    """Raises UserError where it is no probability."""
    require(below == "auto" or 0 <= below <= 1, "reject auto, or in 0 ... 1", below)


def check_model(uri: str) -> None:
    """Raises UserError where it is given, and no address of a model."""
    hint = "such as models:/digits-mobilenet_0.5_96-frozen@best"
    require(not uri or uri.startswith(MODEL_PREFIXES), "an address models:/... or runs:/...", uri, hint)
