"""The report over seeds, on made-up tables and on a made-up pipeline."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import seeds
from benchmarks.seed_tables import Cell, Place, orderings_of, read_tables, spreads_of, verdicts_of, write_seed_report

COLUMNS = "table,row,column,mean,std,count,unit,paper_mean,paper_std,status"
PAPER = {"full": "1.0", "no_id": "1.2", "no_lmk": "NaN", "no_reg": "9.0", "mean_face": ""}


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
    write_seed_report(folders, tmp_path / "reports", "toy")
    text = (tmp_path / "reports/seeds.md").read_text()
    assert text.startswith("# Spread over 3 seeds, profile toy\n")
    assert "| table2, all | full is best | 0.2 | 0.1 ± 0.2 | 2 of 3 | depends on the seed |" in text
    assert "| table2, all | − reg is worst | 7.8 | 1.767 ± 0.058 | 3 of 3 | holds |" in text
    assert "| full | 1.1 ± 0.1 |" in text
    assert "| − lmk | 1.15 ± 0.071 (1 diverged) |" in text
    with (tmp_path / "reports/seeds.csv").open(newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert lines["full"]["std"] == "0.1" and lines["no_lmk"]["paper"] == "NaN" and lines["mean_face"]["paper"] == ""


def test_methods_that_were_not_built_are_left_out(tmp_path: Path) -> None:
    cells = read_tables(write_tables(tmp_path / "1", full="1.0", no_id=""))
    assert [place.row for place in cells] == ["full"]


def test_other_cells_or_counts_are_refused(folders: dict[int, Path], tmp_path: Path) -> None:
    first = read_tables(folders[1])
    with pytest.raises(ValueError, match=r"table2, full, all: 20 samples with seed 1, 19 with seed 4; .*one pipeline"):
        spreads_of({1: first, 4: read_tables(write_tables(tmp_path / "4", count=19, full="1.0"))})
    with pytest.raises(ValueError, match="table2, mean_face, all: 20 samples with seed 1, 0 with seed 5"):
        verdicts_of({1: first, 5: {place: cell for place, cell in first.items() if place.row != "mean_face"}})


def test_one_seed_has_no_spread(folders: dict[int, Path]) -> None:
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        spreads_of({1: read_tables(folders[1])})


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the tables of stage evaluate"):
        read_tables(tmp_path)


_EVALUATE = f"""
import pathlib, yaml
params = yaml.safe_load(open("params.yaml"))
seed = params["train"]["seed"]
assert params["pretrain"]["seed"] == seed and not params["train"]["live_tracking"]
tables = pathlib.Path("reports/tables")
tables.mkdir(parents=True)
lines = ["{COLUMNS}", f"table2,full,all,{{seed}},0,20,mm,1.0,0,measured", "table2,no_id,all,2.5,0,20,mm,1.2,0,measured"]
(tables / "table2.csv").write_text("\\n".join(lines))
"""


def test_seeds_run_as_experiments_beside_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = "# seeds\nprofile: toy\npretrain: {seed: 9}\ntrain: {seed: 9, live_tracking: true}\n"
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seeds", "--seeds", "2", "3", "--output", "found"])
    seeds.run_seed(2, tmp_path)  # what is there already does not hinder
    seeds.main()
    assert "| table2, all | full before − id | 0.2 | 0 ± 0.71 | 1 of 2 |" in (tmp_path / "found/seeds.md").read_text()
    assert (tmp_path / "params.yaml").read_text() == params
    assert not (tmp_path / "reports").exists()
