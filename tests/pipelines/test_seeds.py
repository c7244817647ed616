"""The report over seeds, on made-up tables and on a made-up pipeline."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.seeds.cells import Cell, Place, read_tables
from pipelines.seeds.claims import CLAIMS, Claim, outcomes_of
from pipelines.seeds.experiments import run_seed, run_study
from pipelines.seeds.report import orderings_of, spreads_of, verdicts_of, write_seed_report
from pipelines.seeds.study import Study
from pipelines.table_specs import table_specs

COLUMNS = "table,row,column,mean,std,count,unit,paper_mean,paper_std,status"
PARAMS = Path(__file__).parents[2] / "params.yaml"
PAPER = {"full": "1.0", "no_id": "1.2", "no_lmk": "NaN", "no_reg": "9.0", "mean_face": ""}


def study_of(*seeds: int, name: str = "seeds", changes: tuple[str, ...] = ()) -> Study:
    return Study(name, seeds, changes, profile="toy", initialization="ImageNet weights")


def write_tables(folder: Path, *, count: int = 20, **means: str) -> Path:
    """A table as stage `evaluate` writes it; a method without a mean was not built."""
    folder.mkdir(parents=True)
    lines = [f"table2,{row},all,{mean},0.1,{count},mm,{PAPER[row]},0.1,measured" for row, mean in means.items()]
    (folder / "table2.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[int, Path]:
    """Three seeds: ours is the best in two, no_reg the worst in all, no_lmk diverges in one."""
    rest = {"no_reg": "3.0", "mean_face": "4.0"}
    return {
        1: write_tables(tmp_path / "1", full="1.0", no_id="1.3", no_lmk="1.1", **rest),
        2: write_tables(tmp_path / "2", full="1.2", no_id="1.1", no_lmk="NaN", **rest),
        3: write_tables(tmp_path / "3", full="1.1", no_id="1.2", no_lmk="1.2", **rest),
    }


def test_cells_have_mean_and_spread_over_seeds(folders: dict[int, Path]) -> None:
    spreads = {spread.row: spread for spread in spreads_of({s: read_tables(f) for s, f in folders.items()})}
    assert list(spreads) == ["full", "no_id", "no_lmk", "no_reg", "mean_face"]
    full, diverging = spreads["full"], spreads["no_lmk"]
    assert (full.mean, full.std, full.lowest, full.highest) == pytest.approx((1.1, 0.1, 1.0, 1.2))
    assert (full.seeds, full.diverged, full.unit, full.paper) == (3, 0, "mm", 1.0)
    assert (diverging.seeds, diverging.diverged, diverging.mean) == (2, 1, pytest.approx(1.15))
    assert math.isnan(diverging.paper or 0.0) and spreads["mean_face"].paper is None


def test_orderings_are_those_of_the_paper(folders: dict[int, Path]) -> None:
    verdicts = verdicts_of({seed: read_tables(folder) for seed, folder in folders.items()})
    found = {verdict.ordering.claim: (verdict.paper, verdict.gaps, verdict.held) for verdict in verdicts}
    approx = pytest.approx
    assert found == {
        "full is best": (approx(0.2), approx((0.3, -0.1, 0.1)), 2),
        "− reg is worst": (approx(7.8), approx((1.7, 1.8, 1.8)), 3),
        "full before − id": (approx(0.2), approx((0.3, -0.1, 0.1)), 2),
        "full before − reg": (approx(8.0), approx((2.0, 1.8, 1.9)), 3),
    }


def test_a_diverged_method_loses_against_every_other() -> None:
    cells = {Place("t", "c", row): Cell(1.0, 5, "mm", paper) for row, paper in (("full", 2.0), ("no_id", 1.0))}
    orderings = {ordering.claim: ordering for ordering in orderings_of(cells)}
    assert set(orderings) == {"− id is best", "full is worst", "− id before full"}
    ordering = orderings["− id before full"]
    assert ordering.gap({"full": math.nan, "no_id": 1.0}) == math.inf
    assert ordering.gap({"full": 1.0, "no_id": math.nan}) == -math.inf
    assert not ordering.gap({"full": math.nan, "no_id": math.nan}) > 0


def test_a_column_without_two_methods_of_the_paper_has_no_ordering() -> None:
    papers = {"full": 1.0, "no_lmk": math.nan, "mean_face": None}
    assert not list(orderings_of({Place("t", "c", row): Cell(1.0, 5, "mm", paper) for row, paper in papers.items()}))


def test_report_shows_spreads_and_verdicts(folders: dict[int, Path], tmp_path: Path) -> None:
    write_seed_report(study_of(1, 2, 3), folders, tmp_path / "reports")
    text = (tmp_path / "reports/seeds.md").read_text()
    assert text.startswith("# Spread over 3 seeds, profile toy\n")
    assert "the regressor began with ImageNet weights" in text
    assert "| table2, all | full is best | 0.2 | 0.1 ± 0.2 | 2 of 3 | depends on the seed |" in text
    assert "| table2, all | − reg is worst | 7.8 | 1.767 ± 0.058 | 3 of 3 | holds |" in text
    assert "| full | 1.1 ± 0.1 |" in text
    assert "| − lmk | 1.15 ± 0.071 (1 diverged) |" in text
    with (tmp_path / "reports/seeds.csv").open(newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert lines["full"]["std"] == "0.1" and lines["no_lmk"]["paper"] == "NaN" and lines["mean_face"]["paper"] == ""


def cells_of(claim: Claim, value: float, *others: float) -> dict[Place, Cell]:
    """The cells a claim is about, for as many other rows as there are values."""
    named = zip((claim.row, *claim.others), (value, *others), strict=False)
    return {Place(claim.table, claim.column, row): Cell(number, 5, "", None) for row, number in named}


@pytest.mark.parametrize(
    ("words", "values", "number", "holds"),
    [
        ("colour: error of full", (0.3, 0.4), 0.75, True),
        ("colour: error of full", (0.31, 0.4), 0.775, False),
        ("colour: error of full", (math.nan, 0.4), math.nan, False),
        ("colour: error of no_photo", (0.2, math.nan, 0.1, 0.16), 1.25, True),  # of those that did not diverge
        ("highlight: colour error of full", (0.09, 0.1), 0.9, True),
        ("inner mouth: error of full", (3.3, 3.0), 1.1, False),
        ("landmarks: error of no_lmk", (3.0, 2.9, 1.0), 3.0 / 2.9, False),  # worst, but not clearly
        ("landmarks: error of no_lmk", (math.nan, 2.9), math.inf, True),
        ("shape: error of no_reg", (1.0, 1.1), 1.0 / 1.1, False),
        ("pose: error of full", (4.0, 20.0), 0.2, True),
        ("highlight in", (0.2, 0.1), 0.1, True),
        ("highlight in", (-0.1, -0.05), -0.05, False),
        ("highlight in", (math.nan, 0.1), math.nan, False),
        ("identity", (0.4,), 0.4, True),
        ("identity", (0.03,), 0.03, False),
        ("identity", (math.nan,), math.nan, False),
    ],
)
def test_claims_have_a_number_and_a_limit(words: str, values: tuple[float, ...], number: float, holds: bool) -> None:
    claim = next(claim for claim in CLAIMS if claim.words.startswith(words))
    found = claim.of(cells_of(claim, *values))
    assert found == pytest.approx(number, nan_ok=True) and claim.holds(number) == holds


def test_claims_are_about_cells_that_the_tables_have() -> None:
    specs = table_specs(
        ("full", "no_id", "no_photo", "no_lmk", "no_mouth", "no_lmk_mouth", "no_reg", "no_uniform", "wsl_control"),
        twins=dict.fromkeys(("micc", "facescape", "aflw2000"), True),
        synthetic_test=True,
        protocol="p",
        initialization="i",
    )
    there = {Place(spec.name, column.key, row) for spec in specs for column in spec.columns for row in spec.rows}
    assert {Place(one.table, one.column, row) for one in CLAIMS for row in (one.row, *one.others)} <= there


def test_report_says_what_the_training_shows_and_what_was_not_measured(tmp_path: Path) -> None:
    colour = next(claim for claim in CLAIMS if claim.words.startswith("colour: error of full"))
    runs = {seed: cells_of(colour, value, 0.4) for seed, value in ((1, 0.2), (2, 0.1), (3, 0.32))}
    outcomes = {outcome.claim: outcome for outcome in outcomes_of(runs)}
    assert outcomes[colour].held == 2 and len(outcomes) == len(CLAIMS)
    folders = {seed: tmp_path / str(seed) for seed in runs}
    for seed, folder in folders.items():
        folder.mkdir()
        lines = [f"{p.table},{p.row},{p.column},{cell.value},0,5,,,,measured" for p, cell in runs[seed].items()]
        (folder / "table1.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")
    write_seed_report(study_of(1, 2, 3), folders, tmp_path)
    text = (tmp_path / "seeds.md").read_text()
    assert "table1_pixel_error, test | ratio ≤ 0.75 | 0.5167 ± 0.28 | 2 of 3 | depends on the seed |" in text
    assert "identity_spread, least | value ≥ 0.333 |  |  | not measured |" in text


def test_methods_that_were_not_built_are_left_out(tmp_path: Path) -> None:
    cells = read_tables(write_tables(tmp_path / "1", full="1.0", no_id=""))
    assert [place.row for place in cells] == ["full"]


def test_what_only_says_more_about_a_table_is_not_a_table(folders: dict[int, Path]) -> None:
    places = read_tables(folders[1]).keys()
    for suffix in ("_intervals", "_by_skin_tone", "_by_yaw"):
        (folders[1] / f"table2{suffix}.csv").write_text("table,row,column,mean,low\ntable2,other,all,1,0\n")
    assert read_tables(folders[1]).keys() == places


def test_other_cells_or_counts_are_refused(folders: dict[int, Path], tmp_path: Path) -> None:
    first = read_tables(folders[1])
    with pytest.raises(ValueError, match=r"table2, full, all: 20 samples with seed 1, 19 with seed 4; .*one pipeline"):
        spreads_of({1: first, 4: read_tables(write_tables(tmp_path / "4", count=19, full="1.0"))})
    with pytest.raises(ValueError, match="table2, mean_face, all: 20 samples with seed 1, 0 with seed 5"):
        verdicts_of({1: first, 5: {place: cell for place, cell in first.items() if place.row != "mean_face"}})


def test_one_seed_has_no_spread_and_changes_are_named(folders: dict[int, Path], tmp_path: Path) -> None:
    changes = ("train.iterations=600", "train.learning_rate=5.0e-4")
    write_seed_report(study_of(2, name="longer", changes=changes), {2: folders[2]}, tmp_path / "reports")
    text = (tmp_path / "reports/longer.md").read_text()
    assert text.startswith("# One seed, profile toy\n") and "±" not in text
    assert "Changed in `params.yaml`: `train.iterations=600`, `train.learning_rate=5.0e-4`. " in text
    assert "| table2, all | full is best | 0.2 | -0.1 | 0 of 1 | does not hold |" in text
    assert (tmp_path / "reports/longer.csv").exists() and not (tmp_path / "reports/seeds.md").exists()


@pytest.mark.parametrize("seeds", [(), (3, 3)])
def test_no_seed_or_one_twice_is_refused_before_anything_runs(seeds: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds: expected different ones, got"):
        run_study(study_of(*seeds), tmp_path, tmp_path)


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the tables of stage evaluate"):
        read_tables(tmp_path)


_EVALUATE = f"""
import pathlib, yaml
params = yaml.safe_load(open("params.yaml"))
seed = params["train"]["seed"]
assert params["pretrain"]["seed"] == seed and params["train"]["iterations"] == 7
tables = pathlib.Path("reports/tables")
tables.mkdir(parents=True)
lines = ["{COLUMNS}", f"table2,full,all,{{seed}},0,20,mm,1.0,0,measured", "table2,no_id,all,2.5,0,20,mm,1.2,0,measured"]
(tables / "table2.csv").write_text("\\n".join(lines))
"""


def test_seeds_run_as_experiments_beside_the_workspace(tmp_path: Path) -> None:
    params = PARAMS.read_text()
    stage = {"cmd": f"{sys.executable} evaluate.py", "deps": ["evaluate.py"], "params": ["pretrain", "train"]}
    graph = {"stages": {"evaluate": {**stage, "outs": [{"reports/tables": {"cache": False}}]}}}
    files = {"params.yaml": params, "evaluate.py": _EVALUATE, "dvc.yaml": yaml.safe_dump(graph)}
    files |= {".dvc/config": "[core]\n    analytics = false\n", ".dvc/.gitignore": "/tmp\n/cache\n/config.local\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "toy")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    study = study_of(2, 3, changes=("train.iterations=7",))
    run_seed(study, 2, tmp_path)  # what is there already does not hinder
    run_study(study, tmp_path, tmp_path / "found")
    assert "| table2, all | full before − id | 0.2 | 0 ± 0.71 | 1 of 2 |" in (tmp_path / "found/seeds.md").read_text()
    assert (tmp_path / "params.yaml").read_text() == params
    assert not (tmp_path / "reports").exists()
