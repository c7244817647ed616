"""The scans of a benchmark in the common form: PLY in mm, with marked landmarks beside them, checked as they come."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipelines.benchmarks.raw import RawSample
from pipelines.benchmarks.scans import FURTHER, Scan, write_mesh

# A scan outside these is not in mm: between landmarks 36 and 45, and the longest side of the whole scan.
_OUTER_EYES_MM = (60.0, 140.0)
_LONGEST_SIDE_MM = (60.0, 3000.0)

_log = logging.getLogger(__name__)


def write_scans(samples: Sequence[RawSample], folder: Path) -> None:
    """Write each scan once, further ones beside it; ValueError naming one that is broken or shows another unit."""
    readers = {sample.scan_name: sample.read_scan for sample in samples if sample.read_scan is not None}
    for sample in samples:
        further = enumerate(sample.read_further_scans, start=1)
        readers |= {f"{sample.scan_name}{FURTHER}{number}": read_scan for number, read_scan in further}
    unmarked = []
    for name, read_scan in tqdm(sorted(readers.items()), desc="scans", unit="scan", disable=not readers):
        scan = read_scan()
        _check_unit(name, scan)
        write_mesh(folder / f"{name}.ply", scan.vertices.astype(np.float32), scan.triangles)
        if scan.landmarks is None:
            unmarked.append(name)
        else:
            (folder / f"{name}.json").write_text(json.dumps(np.round(scan.landmarks, 4).tolist()) + "\n")
    if unmarked:
        said = "%d of %d scans have no marked landmarks, so their foremost point counts as the tip of the nose: %s"
        _log.warning(said, len(unmarked), len(readers), ", ".join(unmarked[:5]) + (", …" if len(unmarked) > 5 else ""))


def _check_unit(name: str, scan: Scan) -> None:
    longest = float(np.ptp(scan.vertices, axis=0).max())
    if not _LONGEST_SIDE_MM[0] < longest < _LONGEST_SIDE_MM[1]:
        raise ValueError(f"scan {name}: its longest side is {longest:.3g}; is it not in mm?")
    if scan.landmarks is None:
        return
    eyes = float(np.linalg.norm(scan.landmarks[36] - scan.landmarks[45]))
    if not _OUTER_EYES_MM[0] < eyes < _OUTER_EYES_MM[1]:
        raise ValueError(f"scan {name}: the outer corners of the eyes are {eyes:.1f} apart; is it not in mm?")
