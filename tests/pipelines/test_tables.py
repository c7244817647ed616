"""Tables average scores, keep diverged, unbuilt and missing cells apart, and print the paper beside."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipelines.benchmarks.common import write_omitted
from pipelines.data_remarks import data_remarks
from pipelines.measure_specs import vertex_errors_spec
from pipelines.split_specs import split_specs
from pipelines.table_files import ROW_LABELS, write_table
from pipelines.table_specs import table_specs
from pipelines.tables import NO_PAPER, Column, Paper, TableCell, TableSpec, build_cells, metrics_tree, read_paper
from tests.label_tree import smoke_params

PAPER_FILE = Path(__file__).parents[2] / "reports/reference/paper_tables.yaml"
VARIANTS = ("full", "no_id", "no_lmk", "no_mouth")
SPEC = TableSpec(
    "table9_test",
    "Table 9.",
    "synthetic twin; named-protocol",
    (Column("indoor", "indoor", "mm"),),
    ("full", "no_lmk", "prnet", "mean_face"),
    frozenset({"prnet"}),
    metrics_path="table9/test",
)
PAPER = Paper("real data; ICP", {"full": {"indoor": [1.63, 0.52]}, "no_lmk": {"indoor": [math.nan, math.nan]}})


def scores() -> pd.DataFrame:
    rows = [
        ("full", "indoor", "a", 1.0, "ok"),
        ("full", "indoor", "b", 3.0, "ok"),
        ("full", "indoor", "c", math.nan, "no face"),
        ("full", "outdoor", "a", 100.0, "ok"),
        ("no_lmk", "indoor", "a", 1.0, "ok"),
        ("no_lmk", "indoor", "b", math.nan, "diverged"),
    ]
    return pd.DataFrame(rows, columns=["row", "column", "sample", "value", "status"])


def cells() -> dict[str, TableCell]:
    return {cell.row: cell for cell in build_cells(SPEC, scores(), PAPER)}


def test_samples_are_averaged_and_those_without_a_face_left_out() -> None:
    full = cells()["full"]
    assert (full.mean, full.std, full.count, full.status) == (2.0, 1.0, 2, "measured")
    assert (full.paper_mean, full.paper_std) == (1.63, 0.52)


def test_one_diverged_sample_makes_the_cell_nan() -> None:
    cell = cells()["no_lmk"]
    assert cell.mean is not None and math.isnan(cell.mean)
    assert cell.status == "diverged"


def test_unbuilt_and_missing_cells_hold_no_number() -> None:
    assert (cells()["prnet"].mean, cells()["prnet"].status, cells()["prnet"].count) == (None, "not built", 0)
    assert (cells()["mean_face"].mean, cells()["mean_face"].status) == (None, "no data")


def test_the_spread_can_be_over_what_the_samples_average() -> None:
    column = SPEC.columns[0]._replace(squares="squared")
    rows = [("full", "squared", "a", 2.0, "ok"), ("full", "squared", "b", 10.0, "ok")]
    rows += [("no_lmk", "squared", "a", 2.0, "ok"), ("no_lmk", "squared", "b", math.nan, "diverged")]
    found = pd.concat([scores(), pd.DataFrame(rows, columns=scores().columns)])
    cells = {cell.row: cell for cell in build_cells(replace(SPEC, columns=(column,)), found, PAPER)}
    assert (cells["full"].mean, cells["full"].std) == (2.0, pytest.approx(math.sqrt(2)))  # 6 - 2²
    assert math.isnan(cells["no_lmk"].std or 0) and cells["mean_face"].std is None


def test_files_say_nan_and_not_built_and_name_the_protocol(tmp_path: Path) -> None:
    write_table(tmp_path, SPEC, list(cells().values()), PAPER)
    lines = (tmp_path / "table9_test.csv").read_text().splitlines()
    assert lines[0] == "table,row,column,mean,std,count,unit,paper_mean,paper_std,status"
    assert lines[1] == "table9_test,full,indoor,2,1,2,mm,1.63,0.52,measured"
    assert lines[2] == "table9_test,no_lmk,indoor,NaN,NaN,2,mm,NaN,NaN,diverged"
    assert lines[3] == "table9_test,prnet,indoor,,,0,mm,,,not built"
    markdown = (tmp_path / "table9_test.md").read_text()
    assert "| full | 2.00 ± 1.00 | 1.63 ± 0.52 |" in markdown
    assert "| − lmk | NaN | NaN |" in markdown
    assert "| PRNet | not built |  |" in markdown
    assert "synthetic twin; named-protocol" in markdown and "Paper: real data; ICP." in markdown
    latex = (tmp_path / "table9_test.tex").read_text()
    assert r"full & 2.00 $\pm$ 1.00 & 1.63 $\pm$ 0.52 \\" in latex


def test_metrics_read_like_a_path_and_hold_only_what_was_measured() -> None:
    tree = metrics_tree([SPEC], {SPEC.name: list(cells().values())})
    assert tree["table9"]["test"]["indoor"]["full"] == {"mean_mm": 2.0, "std_mm": 1.0, "n": 2}
    assert set(tree["table9"]["test"]["indoor"]) == {"full", "no_lmk"}
    assert metrics_tree([replace(SPEC, metrics_path="")], {SPEC.name: list(cells().values())}) == {}
    assert "NaN" in json.dumps(tree)


def test_all_tables_show_the_printed_values_of_the_paper() -> None:
    paper = read_paper(PAPER_FILE)
    specs = table_specs(
        VARIANTS,
        twins=dict.fromkeys(("micc", "facescape", "aflw2000"), True),
        synthetic_test=True,
        protocol="p",
        initialization="i",
    )
    nothing = scores().iloc[:0]
    found = {
        (spec.name, cell.row, cell.column): cell
        for spec in specs
        for cell in build_cells(spec, nothing, paper.get(spec.name, NO_PAPER))
    }
    assert found["table3_micc", "wsl", "outdoor"].paper_mean == 1.73
    assert found["table4_facescape", "ringnet", "grin"].paper_std == 0.75
    joint = found["table2_facescape_ablation", "no_lmk_mouth", "all"]
    assert (joint.paper_mean, joint.status) == (2.15, "not built")
    assert found["table2_facescape_ablation", "no_lmk", "all"].paper_mean is None
    assert math.isnan(found["table1_pixel_error", "no_lmk", "test"].paper_mean or 0)
    printed = found["table5_aflw2000_mouth", "full", "printed"]
    assert (printed.paper_mean, printed.status) == (3.43, "paper only")
    shown = {(spec.name, row, column.key) for spec in specs for row in spec.rows for column in spec.columns}
    for name, table in paper.items():
        in_paper = {(name, row, column) for row, columns in table.rows.items() for column in columns}
        left_out = {cell for cell in in_paper if cell[1] in ("no_photo", "no_reg", "no_uniform")}  # not in VARIANTS
        assert in_paper - left_out <= shown


def test_the_joint_row_of_table_2_is_measured_once_trained() -> None:
    variants = ("full", "no_lmk", "no_mouth", "no_lmk_mouth", "no_reg")
    twins = dict.fromkeys(("micc", "facescape", "aflw2000"), True)
    found = table_specs(variants, twins=twins, synthetic_test=True, protocol="p", initialization="i")
    table2 = next(one for one in found if one.name == "table2_facescape_ablation")
    assert table2.rows == (*variants, "mean_face") and not table2.not_built


def test_captions_call_twins_synthetic_and_real_data_by_name() -> None:
    twins = {"micc": True, "facescape": False, "aflw2000": True}
    found = table_specs(VARIANTS, twins=twins, synthetic_test=False, protocol="p", initialization="ImageNet weights")
    specs = {one.name: one for one in found}
    assert "synthetic twin of MICC" in specs["table3_micc"].caption
    assert specs["table4_facescape"].caption.startswith("FaceScape")
    assert "in mm by the scale at which the twin was photographed" in specs["table5_aflw2000_mouth"].caption
    assert "held-out test photographs" in specs["table1_pixel_error"].caption
    assert all(spec.caption.endswith("; the regressor began with ImageNet weights") for spec in found)


def test_the_control_stands_after_the_variants_and_beside_ours_and_is_said_to_be_no_peer() -> None:
    twins = dict.fromkeys(("micc", "facescape", "aflw2000"), True)
    variants = (*VARIANTS, "wsl_control")
    found = table_specs(variants, twins=twins, synthetic_test=True, protocol="p", initialization="i")
    specs = {one.name: one for one in found}
    assert specs["table1_pixel_error"].rows[-2:] == ("wsl_control", "mean_face")
    assert specs["table2_facescape_ablation"].rows[-2:] == ("wsl_control", "mean_face")
    for name in ("table3_micc", "table4_facescape", "table5_aflw2000_mouth"):
        assert specs[name].rows[:3] == ("full", "wsl_control", "mean_face")
        assert "wsl" in specs[name].not_built and "wsl_control" not in specs[name].not_built
    assert all("it is not that network" in spec.caption for spec in found)
    assert ROW_LABELS["wsl_control"] != ROW_LABELS["wsl"]


def test_real_photographs_have_no_millimetres() -> None:
    twins = {"micc": True, "facescape": True, "aflw2000": False}
    found = table_specs(VARIANTS, twins=twins, synthetic_test=True, protocol="p", initialization="i")
    caption = next(spec.caption for spec in found if spec.name == "table5_aflw2000_mouth")
    assert "nothing is measured in mm" in caption and "twin" not in caption


def test_split_tables_have_each_measured_column_once_for_each_group() -> None:
    twins = dict.fromkeys(("micc", "facescape", "aflw2000"), True)
    found = table_specs(VARIANTS, twins=twins, synthetic_test=True, protocol="p", initialization="i")
    specs = {spec.name: spec for spec in split_specs(found)}
    columns = {column.key: column for column in specs["table3_micc_by_skin_tone"].columns}
    assert len(columns) == 9 and columns["indoor_dark"].label == "indoor dark" and columns["indoor_dark"].unit == "mm"
    yaw = specs["table1_pixel_error_by_yaw"]
    assert [(column.key, column.squares) for column in yaw.columns][1] == ("test_yaw15", "test_squared_yaw15")
    mouth = specs["table5_aflw2000_mouth_by_yaw"]
    assert [column.key for column in mouth.columns] == ["px_yaw0", "px_yaw15", "px_yaw30", "px_yaw60"]
    assert mouth.rows == ("full", "mean_face")  # no peers
    assert "mean face fitted to the 68 true landmarks" in mouth.caption
    assert not any(spec.metrics_path for spec in specs.values())


def test_captions_say_what_is_left_out_and_which_ground_truth_was_taken(tmp_path: Path) -> None:
    params = smoke_params().benchmarks
    (tmp_path / "micc").mkdir()
    write_omitted(tmp_path / "micc", {"subject_03": "no folder", "subject_05": "no scan"})
    assert data_remarks(tmp_path, params)["aflw2000"] == ""
    remarks = data_remarks(tmp_path, params.model_copy(update={"aflw2000": "a", "aflw2000_annotation": "reannotated"}))
    twins = dict.fromkeys(remarks, False)
    found = table_specs(VARIANTS, twins=twins, synthetic_test=False, protocol="p", initialization="i", remarks=remarks)
    captions = {one.name: one.caption for one in found}
    assert captions["table3_micc"].startswith("MICC Florence 2D/3D, 2 left out (omitted.json); p")
    assert captions["table4_facescape"].startswith("FaceScape; p")
    assert captions["table5_aflw2000_mouth"].startswith("AFLW2000-3D, reannotated landmarks; mean")


def test_agreement_of_measures_is_shown_and_no_metric() -> None:
    rows = [("full", column, "a", 0.5, "ok") for column in ("similarity", "tau_over_methods")]
    table = pd.DataFrame(rows, columns=["row", "column", "sample", "value", "status"])
    spec = vertex_errors_spec("twin", ("full",))
    found = build_cells(spec, table, NO_PAPER)
    assert {cell.column for cell in found if cell.status == "measured"} == {"similarity", "tau_over_methods"}
    assert set(metrics_tree([spec], {spec.name: found})["vertex"]["facescape"]) == {"similarity"}


def test_a_missing_paper_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"paper\.yaml"):
        read_paper(tmp_path / "paper.yaml")
