"""Answers pictures over HTTP, by a file of pipeline.export; MLflow is not imported, and TensorFlow for Keras' own files
alone.

    python -m pipeline.serve --model exported/digits-mobilenet_0.5_96-int8.tflite
    curl --data-binary @shot.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/predict

It listens on this machine alone unless --host says otherwise.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from pipeline.config import ServeConfig
from pipeline.device import asking, serving
from pipeline.shell import cli
from pipeline.shell.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until it is interrupted."""
    config = cli.parse(ServeConfig, argv)
    asked = asking.of_file(config.model).rejecting(config.reject)
    limits = serving.Limits(config.max_bytes, config.max_pixels, config.max_waiting, config.timeout)
    server = serving.app(asked, Path(config.model).name, config.top, limits)
    if config.web:
        serving.add_page(server, Path(config.web))
    with _listening(config.host, config.port) as listener:
        host, port = listener.getsockname()[:2]
        page = f", the page for phones on http://{host}:{port}/" if config.web else ""
        told = f"Answers on http://{host}:{port}/predict{page}; Ctrl-C ends it"
        _Server(uvicorn.Config(server, log_level="warning", server_header=False), told).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says `told` once it answers, and not while it starts."""

    def __init__(self, config: uvicorn.Config, told: str) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        print(self._told, flush=True)


def _listening(host: str, port: int) -> socket.socket:
    """Raises UserError where nothing can listen there."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"wanted to listen on {host}:{port}. Received: {reason}. Try: another --port, or --port 0 for a free one"
        ) from error


if __name__ == "__main__":
    cli.run(main)
