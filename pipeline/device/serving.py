"""A file of pipeline.export behind HTTP: pictures in, answers out, and a refusal where there is too much of anything.

POST /predict takes one encoded picture as its body, or several as multipart/form-data; GET /health, /metrics and
/openapi.json tell of the server itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from pipeline.datasets import decoding
from pipeline.device import handheld, telling
from pipeline.device.asking import Asked
from pipeline.shell.errors import UserError, first_line

MOST_PICTURES = 64  # of one request
ONE_PICTURE = ("image/", "application/octet-stream")  # how the content type of a body may begin that is a picture
MULTIPART = "multipart/form-data"
_RETRY_AFTER = {"Retry-After": "1"}  # s


@dataclass(frozen=True)
class Limits:
    """What a server bears.

    Attributes:
        bytes: of a request.
        pixels: of a picture.
        waiting: requests at once, those included that are being answered.
        seconds: that a request may wait for its turn and its answer.
    """

    bytes: int
    pixels: int
    waiting: int
    seconds: float


@dataclass
class Counts:
    """What was done so far; `answered` is by status code, `seconds` the time that all answers took together."""

    answered: Counter[int] = field(default_factory=Counter)
    pictures: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    waiting: int = 0

    def as_text(self) -> str:
        """In the words of Prometheus."""
        of_status = [f'alpharho_requests_total{{status="{code}"}} {n}' for code, n in sorted(self.answered.items())]
        lines = [
            *("# TYPE alpharho_requests_total counter", *of_status),
            *("# TYPE alpharho_pictures_total counter", f"alpharho_pictures_total {self.pictures}"),
            *("# TYPE alpharho_unreadable_total counter", f"alpharho_unreadable_total {self.unreadable}"),
            *("# TYPE alpharho_seconds_total counter", f"alpharho_seconds_total {self.seconds:.6f}"),
            *("# TYPE alpharho_waiting gauge", f"alpharho_waiting {self.waiting}"),
        ]
        return "\n".join(lines) + "\n"


def app(asked: Asked, name: str, top: int, limits: Limits) -> FastAPI:
    """The server of the model `name`, which answers with the `top` likeliest classes."""
    counts = Counts()
    pool = ThreadPoolExecutor(asked.threads, thread_name_prefix="answers")

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        pool.shutdown(cancel_futures=True)

    # Its pages of documentation would be fetched from elsewhere; /openapi.json is what they show.
    server = FastAPI(title="alpharho", description=f"Answers of {name}", docs_url=None, redoc_url=None, lifespan=life)

    @server.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answers, and times them."""
        begun = time.perf_counter()
        response = await call_next(request)
        if request.url.path == "/predict":
            counts.answered[response.status_code] += 1
            counts.seconds += time.perf_counter() - begun
        return response

    @server.get("/health")
    def health() -> dict[str, Any]:
        """Whether it answers, and with which model."""
        return {"status": "ok", "model": name, "classes": len(asked.class_names)}

    @server.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        """Counts since the start."""
        return counts.as_text()

    @server.post("/predict", openapi_extra={"requestBody": _BODY})
    async def predict(request: Request) -> JSONResponse:
        """The likeliest classes of one picture, or of several."""
        if counts.waiting >= limits.waiting:
            raise HTTPException(429, f"{counts.waiting} requests are waiting already", _RETRY_AFTER)
        counts.waiting += 1
        try:
            async with asyncio.timeout(limits.seconds):  # of which a slow client has no more, either
                pictures = await _pictures(request, limits.bytes)
                ask = asyncio.get_running_loop().run_in_executor
                told = await asyncio.gather(
                    *(ask(pool, _answer, asked, one, top, limits.pixels) for _, one in pictures)
                )
        except ClientDisconnect:
            raise HTTPException(499, "the client has gone") from None
        except TimeoutError:
            raise HTTPException(503, f"no answer within {limits.seconds:g} s", _RETRY_AFTER) from None
        finally:
            counts.waiting -= 1
        unreadable = sum("error" in one for one in told)
        counts.pictures, counts.unreadable = counts.pictures + len(told) - unreadable, counts.unreadable + unreadable
        if unreadable == len(told):
            raise HTTPException(max(one["status"] for one in told), "; ".join(one["error"] for one in told))
        answers = [{"picture": called, **one} for (called, _), one in zip(pictures, told, strict=True)]
        return JSONResponse({"model": name, "answers": answers})

    return server


def add_page(server: FastAPI, folder: Path) -> None:
    """Serves `folder`, which pipeline.export --web wrote, at /. Raises UserError where it is none."""
    if not (folder / handheld.MODELS).is_file():
        raise UserError(
            f"wanted a folder that pipeline.export --web wrote. Received: {folder}, which holds no {handheld.MODELS}. "
            "Try: --web exported/web"
        )
    server.mount("/", StaticFiles(directory=folder, html=True))


_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        MULTIPART: {
            "schema": {
                "type": "object",
                "properties": {"pictures": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    },
}


async def _pictures(request: Request, most: int) -> list[tuple[str, bytes]]:
    """(name, encoded picture) of a request, at least one. Raises HTTPException where there is none, or too much."""
    kind = request.headers.get("content-type", ONE_PICTURE[1]).lower()
    if not kind.startswith((*ONE_PICTURE, MULTIPART)):
        raise HTTPException(415, f"wanted a picture (image/...) or {MULTIPART}. Received: {kind[:100]}")
    body = await _body(request, most)
    if not kind.startswith(MULTIPART):
        return [("", body)]

    async def again() -> dict[str, Any]:
        """The body, which has been read."""
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(request.scope, again).form(max_files=MOST_PICTURES, max_fields=MOST_PICTURES) as form:
        files = [part for _name, part in form.multi_items() if isinstance(part, UploadFile)]
        found = [(part.filename or "", await part.read()) for part in files]
    if not found:
        raise HTTPException(422, "wanted files in the form. Received: none")
    return found


async def _body(request: Request, most: int) -> bytes:
    too_large = HTTPException(413, f"more than {most:,} bytes")
    if (length := request.headers.get("content-length", "")).isdecimal() and int(length) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _answer(asked: Asked, encoded: bytes, top: int, most: int) -> dict[str, Any]:
    """What is told of a picture, as predict tells it; or error, and the status that it is."""
    try:
        if (pixels := _pixels(encoded)) > most:
            return {"error": f"{pixels:,.0f} pixels, of which {most:,} are taken", "status": 413}
        return telling.as_json(asked.answer(encoded), asked.class_names, top, asked.reject_below)
    except (ValueError, MemoryError) as error:
        return {"error": first_line(error), "status": 422}


def _pixels(encoded: bytes) -> float:
    """Of a picture, by its header; 0 where that cannot be read, which decoding will tell."""
    kind = decoding.kind_of(encoded[: decoding.HEADER])
    if not kind or (kind == "HEIC" and not decoding.reads_heic()):
        return 0
    try:
        with decoding.opened(encoded, kind) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return math.inf
    except Exception:  # as in decoding.read, which says it better
        return 0
