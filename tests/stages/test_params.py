"""`params.yaml` as it lies in the repository, and what happens when somebody makes a mistake in it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import LossWeights, Params
from stages._params import load_params, load_profile, parse_params

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text()
TREE: dict[str, Any] = yaml.safe_load(TEXT)
PROFILES = ("smoke", "default", "paper")


def _with(value: Any, *path: str) -> str:
    """The text of params.yaml with one value replaced or added."""
    tree = yaml.safe_load(TEXT)
    section = tree
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return yaml.safe_dump(tree, sort_keys=False)


def _profile(name: str) -> Params:
    return parse_params(_with(name, "profile"))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_valid(name: str) -> None:
    assert isinstance(_profile(name), Params)


def test_the_default_profile_is_what_the_file_says() -> None:
    assert TREE["profile"] == "default"
    params = parse_params(TEXT)
    assert params.train.iterations == TREE["train"]["iterations"]
    assert params.camera.crop_size == TREE["camera"]["crop_size"]


def test_profiles_lay_their_values_over_the_rest() -> None:
    smoke, paper = _profile("smoke"), _profile("paper")
    assert smoke.photographs.people == TREE["profiles"]["smoke"]["photographs"]["people"]
    assert smoke.photographs.seed == TREE["photographs"]["seed"]
    assert paper.train.weights == smoke.train.weights


def test_a_profile_may_change_one_value_deep_inside() -> None:
    weights = parse_params(_with({"weights": {"id": 0.5}}, "profiles", "default", "train")).train.weights
    assert weights.id == 0.5
    assert weights.photo == TREE["train"]["weights"]["photo"]


def test_every_section_has_its_place_in_every_profile() -> None:
    """DVC tracks `profiles.<name>.<section>`; it stops when there is none."""
    assert set(TREE["profiles"]) == set(PROFILES)
    # The camera must not change between profiles, `labelling` changes no result, and `variants` is no section.
    sections = set(Params.model_fields) - {"camera", "labelling", "variants"}
    for name, profile in TREE["profiles"].items():
        assert set(profile) == sections, name


def test_the_paper_profile_has_the_numbers_of_section_4_2() -> None:
    train = _profile("paper").train
    assert (train.batch_size, train.learning_rate, train.iterations) == (32, 5e-5, 200_000)
    assert train.mouth_start_iteration == 50_000
    weights = LossWeights(id=0.2, photo=1.92, lmk=1.8e-3, mouth=1.3e-3, reg=5e-4, uniform=5.0)
    assert train.weights == weights
    assert _profile("paper").regressor.backbone == "resnet50"


@pytest.mark.parametrize("name", PROFILES)
def test_the_mouth_joins_after_a_quarter_of_the_iterations(name: str) -> None:
    train = _profile(name).train
    assert abs(train.mouth_start_iteration - train.iterations / 4) <= 1


@pytest.mark.parametrize("name", PROFILES)
def test_the_test_split_gets_at_least_one_person(name: str) -> None:
    photographs = _profile(name).photographs
    assert photographs.people * photographs.test_fraction >= 1


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (1, ("train", "learning_rat"), r"train\.learning_rat: Extra inputs are not permitted"),
        (1, ("trian",), r"trian: Extra inputs are not permitted"),
        (1, ("train", "weights", "photos"), r"train\.weights\.photos: Extra inputs"),
        (-1.0, ("train", "learning_rate"), r"train\.learning_rate: Input should be greater than 0 \(got -1\.0\)"),
        (float("nan"), ("train", "learning_rate"), r"train\.learning_rate: Input should be"),
        (0, ("train", "iterations"), r"train\.iterations: Input should be greater than or equal to 1"),
        ("sobel", ("train", "edge_method"), r"train\.edge_method: Input should be 'micro_edges' or 'pixel_pair'"),
        (0, ("train", "mouth_samples"), r"train\.mouth_samples: Input should be greater than or equal to 1"),
        (-1, ("predict", "refine"), r"predict\.refine: Input should be greater than or equal to 0"),
        (0.0, ("predict", "refine_learning_rate"), r"predict\.refine_learning_rate: Input should be greater than 0"),
        ("resnet19", ("regressor", "backbone"), r"regressor\.backbone: Input should be 'resnet18'"),
        (["full", "no_light"], ("variants",), r"variants\.1: Input should be 'full', 'no_id'"),
        ("many", ("train", "batch_size"), r"train\.batch_size: .*got 'many'"),
        (0.5, ("train", "batch_size"), r"train\.batch_size: .*got 0\.5"),
        ("gpu", ("profile",), r"profile: expected one of default, smoke, paper, got 'gpu'"),
    ],
)
def test_a_mistake_is_named(value: Any, path: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_params(_with(value, *path))


def test_the_twin_has_one_annotation_only() -> None:
    with pytest.raises(ValueError, match=r"benchmarks: .*the twin has the original annotation only"):
        parse_params(_with("reannotated", "benchmarks", "aflw2000_annotation"))


def test_points_of_landmarks_need_a_resnet() -> None:
    with pytest.raises(ValueError, match=r"regressor: .*landmark_points: true needs a ResNet, not convnext"):
        parse_params(_with("convnext_tiny", "regressor", "backbone"))


def test_a_mistake_in_a_profile_that_is_not_chosen_is_named_too() -> None:
    with pytest.raises(ValueError, match=r"profiles\.paper\.train\.iteration: Extra inputs"):
        parse_params(_with({"iteration": 5}, "profiles", "paper", "train"))


def test_several_mistakes_are_named_at_once() -> None:
    tree = yaml.safe_load(TEXT)
    tree["train"]["iterations"], tree["align"]["batch_size"] = 0, 0
    with pytest.raises(ValueError, match=r"align\.batch_size.*\n.*train\.iterations"):
        parse_params(yaml.safe_dump(tree))


def test_a_missing_value_is_named() -> None:
    tree = yaml.safe_load(TEXT)
    del tree["train"]["seed"]
    with pytest.raises(ValueError, match=r"train\.seed: Field required"):
        parse_params(yaml.safe_dump(tree))


@pytest.mark.parametrize("text", ["", "5", "- train"])
def test_a_file_without_sections_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected sections"):
        parse_params(text)


@pytest.mark.parametrize("profiles", [None, {"default": None}])
def test_profiles_without_values_are_no_crash(profiles: Any) -> None:
    text = _with(profiles, "profiles")
    if profiles is None:
        with pytest.raises(ValueError, match="profile: expected one of"):
            parse_params(text)
    else:
        assert parse_params(text).train.iterations == TREE["train"]["iterations"]


def test_the_text_5e_5_is_a_number_all_the_same() -> None:
    text = TEXT.replace("learning_rate: 1.0e-3", "learning_rate: 5e-5")  # YAML 1.1 takes it for a string
    assert text != TEXT
    assert parse_params(text).pretrain.learning_rate == 5e-5


def test_changes_come_before_the_text() -> None:
    changed = parse_params(TEXT, ["train.iterations=7", "train.learning_rate=1e-3", "profile=smoke"])
    assert changed.train.iterations == parse_params(_with("smoke", "profile")).train.iterations != 7  # the profile's
    assert load_profile(ROOT / "params.yaml", ["profile=smoke"]) == "smoke" != load_profile(ROOT / "params.yaml")
    plain = parse_params(TEXT, ["regressor.initialization=scratch", "profiles.default.train.iterations=7"])
    assert (plain.regressor.initialization, plain.train.iterations) == ("scratch", 7)


@pytest.mark.parametrize(
    "change", ["train.iterations", "train.iterations=", "training.iterations=5", "seed.a.b=5", "="]
)
def test_a_change_of_nothing_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match=r"expected a change like train\.iterations=50, got"):
        parse_params(TEXT, [change])


def test_a_change_is_checked_like_the_text() -> None:
    with pytest.raises(ValueError, match=r"train\.iteration: Extra inputs"):
        parse_params(TEXT, ["train.iteration=5"])
    with pytest.raises(ValueError, match=r"regressor\.backbone: Input should be 'resnet18'"):
        parse_params(TEXT, ["regressor.backbone=resnet19"])


def test_parameters_do_not_change_after_reading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_params(TEXT).train.iterations = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", [_with(1, "trian"), "a: [", None])
def test_a_stage_ends_with_the_name_of_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=r"params\.yaml"):
        load_params(path)


@pytest.mark.parametrize("module", ["_params", *sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))])
def test_nothing_heavy_is_imported_before_the_parameters_are_read(module: str) -> None:
    heavy = "{'torch', 'pandas', 'scipy', 'mlflow', 'h5py', 'sklearn'}"
    program = f"import sys, stages.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
