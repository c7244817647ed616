"""A data tree as the stages leave it, in miniature: what figures and the report page read."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.camera import Camera, camera_from_model
from models.coefficients import Coefficients
from models.face_model import FaceModel, FaceModelArrays
from pipelines.benchmarks.scans import write_mesh
from pipelines.face_model_file import save_face_model
from pipelines.reporting.artist import Artist, neutral_coefficients
from pipelines.shards import ShardWriter, encode_jpeg, encode_png, write_rows

VARIANTS = ("full", "no_id", "no_photo", "no_lmk", "no_mouth", "no_lmk_mouth", "no_reg", "no_uniform", "wsl_control")
DIVERGED = "no_lmk"
CAMERA = Camera(math.radians(12.6), 1000.0)
SIZE = 112  # of the crops; half of the real ones, for speed
CLIPS = ("cooperative", "indoor", "outdoor")


def write_tiny_tree(root: Path, arrays: FaceModelArrays, people: int = 3) -> None:
    """Fill `root/data` and `root/reports`; prediction errors grow from variant to variant, `no_lmk` diverged."""
    _Tree(root, arrays).write(people)


class _Tree:
    def __init__(self, root: Path, arrays: FaceModelArrays) -> None:
        self.data, self.reports = root / "data", root / "reports"
        self.arrays, self.model = arrays, FaceModel(arrays)
        self.artist = Artist(self.model, CAMERA, SIZE)
        self.generator = torch.Generator().manual_seed(1)
        self.predictions: dict[str, list[dict[str, object]]] = {name: [] for name in (*VARIANTS, "mean_face")}

    def write(self, people: int) -> None:
        save_face_model(self.data / "face_model.h5", self.arrays)
        faces = {f"{number:06d}": self._random_face() for number in range(people)}
        self._write_labels(self.data / "labels", faces)
        self._write_micc()
        for key, face in faces.items():
            self._predict("test", key, face)
        for method, rows in self.predictions.items():
            (self.data / "predictions" / method).mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_parquet(self.data / "predictions" / method / "coefficients.parquet", index=False)
        self._write_histories()
        self._write_reports()

    def _normal(self, *size: int) -> torch.Tensor:
        return torch.randn(*size, generator=self.generator)

    def _random_face(self) -> Coefficients:
        neutral = neutral_coefficients(self.model)
        expression = 0.4 * self._normal(1, self.model.expression_size)
        return neutral._replace(
            shape=0.7 * self._normal(1, self.model.shape_size),
            expression=expression,
            albedo=0.7 * self._normal(1, self.model.albedo_size),
            euler_angles=0.15 * self._normal(1, 3),
        )

    def _photograph(self, face: Coefficients) -> np.ndarray:
        drawn = self.artist.draw(face)
        assert drawn is not None
        noise = self._normal(14, 14, 3).mul(0.1).add(0.4).repeat_interleave(8, 0).repeat_interleave(8, 1).numpy()
        picture = np.where(drawn.coverage[..., None], drawn.full, noise)
        return (picture.clip(0, 1) * 255).astype(np.uint8)

    def _write_labels(self, labels: Path, faces: dict[str, Coefficients]) -> None:
        last = list(faces)[-1]
        rows = [
            {
                "key": key,
                "photograph": key,
                "name": "astronaut" if key == last else f"person {key}",
                "identity": "" if key == last else f"p{key}",
                "split": "extra" if key == last else "test",
                "synthetic": key != last,
                "status": "kept",
                "reason": "",
            }
            for key in faces
        ]
        rejected = {**rows[0], "key": "rejected", "photograph": "rejected", "status": "rejected", "reason": "no face"}
        write_rows(labels / "aligned", pd.DataFrame([*rows, rejected]))
        crops, mouths = (ShardWriter(labels / name, keys_per_shard=8) for name in ("aligned", "mouth"))
        with crops, mouths:
            for number, (key, face) in enumerate(faces.items()):
                mask = np.zeros((SIZE, SIZE), np.uint8)
                mask[75 : 75 + 3 * number, 45:65] = 255
                crops.write(key, {"jpg": encode_jpeg(self._photograph(face))})
                mouths.write(key, {"png": encode_png(mask)})
        self._write_landmarks(labels / "landmarks", faces)

    def _write_landmarks(self, folder: Path, faces: dict[str, Coefficients]) -> None:
        drawn = {key: self.artist.draw(face) for key, face in faces.items()}
        rows = [
            {"key": key, "landmarks": one.landmarks.ravel().tolist(), "confidence": [1.0] * 68, "network": "own"}
            for key, one in drawn.items()
            if one is not None
        ]
        write_rows(folder, pd.DataFrame(rows))

    def _predict(self, benchmark: str, key: str, face: Coefficients) -> None:
        for number, (method, rows) in enumerate(self.predictions.items()):
            changed = {
                name: (group + 0.1 * number * self._normal(*group.shape)).numpy().astype(np.float32)
                if name in ("shape", "expression", "albedo")
                else group.numpy()
                for name, group in face._asdict().items()
            }
            factor = math.nan if method == DIVERGED else 0.0 if method == "mean_face" else 1.0
            for name in ("shape", "expression", "albedo"):
                changed[name] = changed[name] * np.float32(factor)
            rows.append({"benchmark": benchmark, "key": key, **{name: one.ravel() for name, one in changed.items()}})

    def _write_micc(self) -> None:
        folder = self.data / "benchmarks/micc"
        person = self._random_face()
        faces = {f"subject_01-{clip}-000": person for clip in CLIPS}
        samples = [
            {
                "sample": f"subject_01-{clip}",
                "subject": "subject_01",
                "condition": clip,
                "comparison": True,
                "ablation": False,
                "keys": [key],
                "scan": "scans/subject_01.ply",
                "landmarks": [],
                "skin_tone_ita": math.nan,
            }
            for clip, key in zip(CLIPS, faces, strict=True)
        ]
        with ShardWriter(folder / "aligned", keys_per_shard=8) as crops:
            for key, face in faces.items():
                crops.write(key, {"jpg": encode_jpeg(self._photograph(face))})
        pd.DataFrame(samples).to_parquet(folder / "samples.parquet", index=False)
        self._write_scan(folder / "scans/subject_01.ply", person)
        for key, face in faces.items():
            self._predict("micc", key, face)
        for method in self.predictions:
            for clip in CLIPS:
                self._write_mesh(method, f"subject_01-{clip}", person)

    def _write_scan(self, path: Path, person: Coefficients) -> None:
        """The neutral face, moved and turned away from the frame of the face model."""
        neutral = self.model.vertices(person.shape, torch.zeros_like(person.expression))
        moved = camera_from_model(
            neutral, torch.tensor([[0.1, 0.0, 0.0]]), torch.tensor([[5.0, -20.0, 40.0]]), torch.ones(1, 1)
        )
        points = moved[0].numpy()
        write_mesh(path, points, self.arrays.triangles)
        path.with_suffix(".json").write_text(json.dumps(points[self.arrays.landmark_vertices].tolist()))

    def _write_mesh(self, method: str, sample: str, person: Coefficients) -> None:
        factor = {"mean_face": 0.0, DIVERGED: math.nan}.get(method, 0.8)
        vertices = self.model.vertices(factor * person.shape, torch.zeros_like(person.expression))[0].numpy()
        folder = self.data / "predictions" / method / "meshes/micc"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{sample}.npz", vertices=vertices)

    def _write_histories(self) -> None:
        steps = np.arange(0, 200, 5)
        generator = np.random.default_rng(0)
        for variant in VARIANTS:
            history: dict[str, np.ndarray] = {"step": steps}
            for name in ("total", "id", "photo", "lmk", "mouth", "reg", "uniform"):
                history[name] = np.exp(-steps / 80) * generator.uniform(0.8, 1.2, len(steps))
            self._write_history(f"regressor/{variant}", history)
        for network in ("segmenter", "landmarks", "recognizer", "pretrained"):
            self._write_history(network, {"step": steps, "loss": 2 * np.exp(-steps / 60)})

    def _write_history(self, name: str, history: dict[str, np.ndarray]) -> None:
        folder = self.data / "weights" / name
        folder.mkdir(parents=True)
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)

    def _write_reports(self) -> None:
        tables = self.reports / "tables"
        tables.mkdir(parents=True)
        columns = "table,row,column,mean,std,count,unit,paper_mean,paper_std\n"
        (tables / "table1_pixel_error.csv").write_text(
            columns
            + "table1_pixel_error,full,pixel error,0.041,0.012,12,0..1,0.0246,0.0086\n"
            + "table1_pixel_error,no_lmk,pixel error,,,12,0..1,,\n"
            + "table1_pixel_error,mean_face,pixel error,0.092,0.02,12,0..1,,\n"
        )
        (tables / "table1_pixel_error.md").write_text(
            "Table 1: colour error on the synthetic test photographs.\n\n| row | error |\n|---|---|\n| full | 0.041 |\n"
        )
        (self.reports / "metrics.json").write_text('{"table1": {"full": {"mean": 0.041, "n": 12}}}\n')
        (self.reports / "label_sheet.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
        (self.reports / "label_quality.json").write_text('{"segments": {"face_iou": 0.951}, "align": {"kept": 3}}\n')
        roc = [{"false_positive": x, "true_positive": x**0.5} for x in (0, 0.25, 1)]
        verification = {"accuracy": 0.875, "auc": 0.9441, "n": 190, "people": 7, "roc": roc}
        (self.reports / "verification.json").write_text(json.dumps(verification))
        (self.reports / "check.md").write_text(
            "# Regression check, profile smoke\n\n**FAILED**: 1 worse, 3 same.\n\n"
            "| metric | verdict |\n|---|---|\n| table1/full/mean | **worse** |\n"
        )
