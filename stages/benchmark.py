"""Stage benchmark: one benchmark, real or its twin, in the common form."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, TextFlag, run_stage


def benchmark(*, name: TextFlag, face_model: PathFlag, landmark_weights: PathFlag, output: PathFlag) -> None:
    """Build MICC, FaceScape or AFLW2000-3D: photographs, crops, landmarks, scans and samples."""
    params = load_params()
    from pipelines.benchmarks.build import BenchmarkInputs, build_benchmark

    inputs = BenchmarkInputs(
        face_model=face_model,
        landmark_weights=landmark_weights,
        memo=MEMO,
        params=params.benchmarks,
        camera=params.camera,
        align=params.align,
        landmarks=params.landmarks,
    )
    build_benchmark(name, inputs, output)


if __name__ == "__main__":
    run_stage(benchmark)
