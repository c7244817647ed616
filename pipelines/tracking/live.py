"""Curves and pictures of a training while it runs; whatever goes wrong with MLflow, the training goes on."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.shards import sha256_of
from pipelines.tracking.store import Point, Store, default_store

LIVE_TAG = "facet.live"  # the stage that wrote the run while it was training
WEIGHTS_TAG = "facet.weights_sha256"
PROCESS_TAG = "facet.process"  # host:pid, to recognise the run of a killed process

_POINTS_PER_REQUEST = 400
_SECONDS_BETWEEN_REQUESTS = 10.0


class LiveRun:
    """A run that is written while a stage trains: curves, pictures and the load of the machine.

    Use as a context manager, on one process only.

    `pipelines.tracking.sync` adopts the finished run as the stage's own when the weights' SHA-256 agree. The first
    failure of MLflow is reported once and ends live tracking; `history.csv` has the curves all the same.
    """

    def __init__(
        self, stage: str, *, experiment: str, parameters: Mapping[str, Any], enabled: bool, store: str | None = None
    ) -> None:
        self.stage = stage
        self.experiment = experiment
        self.parameters = {name: str(value) for name, value in parameters.items()}
        self.store = store
        self._enabled = enabled
        self._client: Store | None = None
        self._run_id = ""
        self._points: list[Point] = []
        self._finished = False
        self._end_system_metrics: Callable[[], None] = lambda: None
        self._sent_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._enabled:
            with self._forgiving():
                self._client = Store(self.store or default_store(Path()), self.experiment)
                tags = {LIVE_TAG: self.stage, PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}
                self._run_id = self._client.create(self.stage, tags)
                self._client.parameters(self._run_id, self.parameters)
                self._end_system_metrics = self._client.system_metrics(self._run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._forgiving():
            self._end_system_metrics()
            if self._client and not self._finished:
                self._send()
                self._client.end(self._run_id, "FAILED")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve; sent in batches."""
        if self._client:
            self._points += [Point(name, float(value), step) for name, value in values.items()]
            waited = time.monotonic() - self._sent_at
            if len(self._points) >= _POINTS_PER_REQUEST or waited > _SECONDS_BETWEEN_REQUESTS:
                with self._forgiving():
                    self._send()

    def picture(self, name: str, picture: Path | NDArray[np.uint8], step: int) -> None:
        """Add a picture, a file or an RGB array (H, W, 3), to the series `name`."""
        with self._forgiving():
            if self._client:
                pixels = np.asarray(Image.open(picture).convert("RGB")) if isinstance(picture, Path) else picture
                self._client.picture(self._run_id, name, pixels, step)

    def finish(self, weights: Path) -> None:
        """End the run and tie it to the weights file it led to."""
        with self._forgiving():
            if self._client:
                self._end_system_metrics()
                self._send()
                self._client.tag(self._run_id, {WEIGHTS_TAG: sha256_of(weights)})
                self._client.end(self._run_id)
                self._finished = True

    def _send(self) -> None:
        assert self._client is not None
        points, self._points, self._sent_at = self._points, [], time.monotonic()
        self._client.metrics(self._run_id, points)

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a server may fail in any way; none is worth a training
            print(f"live tracking ends, training goes on: {type(error).__name__}: {error}", file=sys.stderr)
            self._client = None
