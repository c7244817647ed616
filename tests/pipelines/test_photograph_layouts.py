"""Published data sets in tiny: each layout is recognised, and the split it leads to is honest."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.segments import SEGMENTS
from pipelines.params import PhotographsLayout
from pipelines.photographs.found import FoundFile
from pipelines.photographs.reading import read_file
from pipelines.photographs.sources.layouts import found_files, recognised
from pipelines.shards import decode
from tests.small_pictures import LIMITS, SIDE, identities, put, reasons, small_jpeg


def _celeba(root: Path) -> Path:
    for seed, name in enumerate(("000001.jpg", "000002.jpg", "000003.jpg")):
        put(root / "img_align_celeba" / name, seed=seed)
    put(root / "identity_CelebA.txt", b"000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n")
    put(root / "list_eval_partition.txt", b"000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n")
    return root


def _ffhq(root: Path) -> Path:
    for version in ("images1024x1024", "thumbnails128x128"):
        for seed, name in enumerate(("00000/00012.png", "01000/01003.png")):
            put(root / version / name, seed=seed)
    put(root / "ffhq-dataset-v2.json", b"{}")
    return root


def _lp300w(root: Path) -> Path:
    names = ("AFW/AFW_134212_1_0", "AFW/AFW_134212_1_12", "AFW/AFW_134212_2_0", "AFW_Flip/AFW_134212_1_0")
    for seed, name in enumerate((*names, "LFPW/LFPW_image_train_0001_3", "LFPW_Flip/LFPW_image_train_0001_0")):
        put(root / f"{name}.jpg", seed=seed)
        put(root / f"{name}.mat", b"annotation")
    put(root / "landmarks/AFW/AFW_134212_1_0_pts.mat", b"annotation")
    put(root / "Code/Mex/readme.txt", b"code")
    return root


def _celebamask(root: Path) -> Path:
    for number in (0, 10, 2000):
        put(root / f"CelebA-HQ-img/{number}.jpg", seed=number)
    masks = root / "CelebAMask-HQ-mask-anno"
    parts = [(0, "skin", 0, 30), (0, "mouth", 10, 20), (0, "u_lip", 8, 12)]
    for number, part, first, last in (*parts, (10, "hat", 0, 9), (2000, "r_eye", 3, 7), (2000, "neck", 0, 4)):
        mask = np.zeros((40, 40, 3), np.uint8)
        mask[:, first:last] = 255
        path = masks / str(number // 2000) / f"{number:05d}_{part}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    put(root / "CelebA-HQ-to-CelebA-mapping.txt", b"""idx orig_idx orig_file
0            119613         119614.jpg
10           99094          099095.jpg
2000         49285          049286.jpg
""")  # fmt: skip
    return root


def _lapa(root: Path) -> Path:
    for seed, part in enumerate(("train", "val", "test")):
        put(root / f"{part}/images/{part}_{seed}.jpg", seed=seed)
        put(root / f"{part}/landmarks/{part}_{seed}.txt", b"106\n")
        (root / f"{part}/labels").mkdir()
        classes = (np.arange(40 * 40) // 40 % 11).astype(np.uint8).reshape(40, 40)  # row by row
        Image.fromarray(classes).save(root / f"{part}/labels/{part}_{seed}.png")
    return root


TREES = {"celeba": _celeba, "ffhq": _ffhq, "300w_lp": _lp300w, "celebamask_hq": _celebamask, "lapa": _lapa}


@pytest.mark.parametrize("layout", TREES)
def test_auto_recognises_a_data_set_also_in_the_folder_above(tmp_path: Path, layout: PhotographsLayout) -> None:
    root = TREES[layout](tmp_path / "set" / "release")
    assert recognised(root) == layout
    if layout != "ffhq":
        assert recognised(root.parent) == layout
    files = found_files(root, "auto")
    assert files == found_files(root, layout)
    assert set(reasons(files).values()) == {""}


@pytest.mark.parametrize("layout", TREES)
def test_another_folder_is_not_taken_for_a_data_set(tmp_path: Path, layout: PhotographsLayout) -> None:
    put(tmp_path / "00001/00012.png")
    put(tmp_path / "test/images/readme.txt", b"")
    put(tmp_path / "AFW/AFW_1_0.jpg")
    assert recognised(tmp_path) == "folder"
    if layout != "lapa":
        with pytest.raises(ValueError, match=r"expected (CelebA|FFHQ|300W-LP)"):
            found_files(tmp_path, layout)


def test_a_folder_of_people_with_numbers_is_not_ffhq(tmp_path: Path) -> None:
    for name in ("00000/1.png", "01000/02001.png", "02000/img_02001.png"):
        put(tmp_path / name)
    assert recognised(tmp_path) == "folder"
    assert set(identities(found_files(tmp_path, "auto")).values()) == {"00000", "01000", "02000"}


def test_celeba_has_identities(tmp_path: Path) -> None:
    assert identities(found_files(_celeba(tmp_path), "auto")) == {
        "000001.jpg": "2880", "000002.jpg": "2937", "000003.jpg": "2880"
    }  # fmt: skip


def test_celeba_may_stay_zipped_in_its_official_folders(tmp_path: Path) -> None:
    put(tmp_path / "Anno/identity_CelebA.txt", b"000001.jpg 2880\n000002.jpg 2937\n")
    (tmp_path / "Img").mkdir()
    with zipfile.ZipFile(tmp_path / "Img/img_align_celeba.zip", "w") as archive:
        for seed, name in enumerate(("000001.jpg", "000002.jpg")):
            archive.writestr(f"img_align_celeba/{name}", small_jpeg(seed))
    files = found_files(tmp_path, "auto")
    assert list(identities(files).values()) == ["2880", "2937"]
    assert set(reasons(files).values()) == {""}


def test_celeba_without_identities_or_with_broken_ones_is_an_error(tmp_path: Path) -> None:
    root = _celeba(tmp_path)
    (root / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg\n")
    with pytest.raises(ValueError, match=r"identity_CelebA.txt, line 2: expected '000001.jpg 2880', got '000002.jpg'"):
        found_files(root, "auto")
    (root / "identity_CelebA.txt").unlink()
    with pytest.raises(ValueError, match="without which one person would be trained on and tested"):
        found_files(root, "auto")


def test_the_folders_of_ffhq_are_no_identities_and_one_size_is_enough(tmp_path: Path) -> None:
    assert identities(found_files(_ffhq(tmp_path), "auto")) == {"00000/00012.png": "", "01000/01003.png": ""}
    assert identities(found_files(tmp_path / "thumbnails128x128", "auto")) == {
        "00000/00012.png": "",
        "01000/01003.png": "",
    }


def test_pictures_of_one_face_of_300w_lp_share_an_identity(tmp_path: Path) -> None:
    assert identities(found_files(_lp300w(tmp_path), "auto")) == {
        "AFW/AFW_134212_1_0.jpg": "AFW/AFW_134212_1",
        "AFW/AFW_134212_1_12.jpg": "AFW/AFW_134212_1",
        "AFW/AFW_134212_2_0.jpg": "AFW/AFW_134212_2",
        "AFW_Flip/AFW_134212_1_0.jpg": "AFW/AFW_134212_1",
        "LFPW/LFPW_image_train_0001_3.jpg": "LFPW/LFPW_image_train_0001",
        "LFPW_Flip/LFPW_image_train_0001_0.jpg": "LFPW/LFPW_image_train_0001",
    }


def _segments(file: FoundFile) -> np.ndarray:
    segments = read_file(LIMITS, file).segments
    assert segments is not None
    return decode(segments)


def _names(numbers: np.ndarray) -> list[str]:
    return [SEGMENTS[number] for number in numbers]


def test_the_masks_of_celebamask_hq_are_painted_over_each_other(tmp_path: Path) -> None:
    files = found_files(_celebamask(tmp_path), "auto")
    assert identities(files) == {"0.jpg": "", "10.jpg": "", "2000.jpg": ""}
    first, second, third = (_segments(file) for file in files)
    assert first.shape == (SIDE, SIDE)  # twice the masks' size
    assert _names(first[0, [0, 15, 17, 23, 24, 38, 41, 60]]) == [
        "skin", "skin", "lips", "lips", "inner_mouth", "inner_mouth", "skin", "background"
    ]  # fmt: skip
    assert set(_names(np.unique(second))) == {"background", "hat"}
    assert _names(third[0, [0, 7, 8, 13, 14]]) == ["background", "background", "eyes", "eyes", "background"]


def test_celebamask_hq_has_the_identities_of_celeba_when_they_are_there(tmp_path: Path) -> None:
    root = _celebamask(tmp_path)
    put(root / "identity_CelebA.txt", b"119614.jpg 3\n049286.jpg 3\n099095.jpg 12\n")
    assert identities(found_files(root, "auto")) == {"0.jpg": "3", "10.jpg": "12", "2000.jpg": "3"}


def test_the_classes_of_lapa_become_ours(tmp_path: Path) -> None:
    file = found_files(_lapa(tmp_path), "auto")[0]
    assert file.name == "train/images/train_0.jpg"
    assert _names(_segments(file)[1:22:2, 0]) == [
        "background", "skin", "brows", "brows", "eyes", "eyes", "nose", "lips", "inner_mouth", "lips", "hair"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        (np.full((40, 40), 11, np.uint8), "expected one number from 0 to 10 for each pixel, got (40, 40) up to 11"),
        (np.zeros((40, 60), np.uint8), "60 x 40 px does not lie over 80 x 80 px"),
        (np.zeros((40, 40, 3), np.uint8), "expected one number from 0 to 10 for each pixel, got (40, 40, 3) up to 0"),
    ],
)
def test_a_wrong_annotation_is_a_reason(tmp_path: Path, classes: np.ndarray, reason: str) -> None:
    root = _lapa(tmp_path)
    Image.fromarray(classes).save(root / "train/labels/train_0.png")
    found = reasons(found_files(root, "auto"))["train/images/train_0.jpg"]
    assert found.startswith("broken annotation: ") and found.endswith(reason)


def test_a_damaged_annotation_is_a_reason_and_a_missing_one_is_not(tmp_path: Path) -> None:
    root = _lapa(tmp_path)
    (root / "train/labels/train_0.png").write_bytes(b"no picture")
    (root / "val/labels/val_1.png").unlink()
    found = reasons(found_files(root, "auto"))
    assert found["train/images/train_0.jpg"] == "broken annotation: cannot identify image file 'train_0.png'"
    assert found["val/images/val_1.jpg"] == ""


@pytest.mark.parametrize(
    ("layout", "kind"), [("list", "file"), ("archive", "file"), ("folder", "folder"), ("lapa", "folder")]
)
def test_a_source_of_the_wrong_kind_is_an_error(tmp_path: Path, layout: PhotographsLayout, kind: str) -> None:
    source = tmp_path if kind == "file" else put(tmp_path / "faces.csv", b"path\n")
    with pytest.raises(ValueError, match=rf"layout '{layout}' expects a {kind}"):
        found_files(source, layout)


def test_a_file_that_is_neither_list_nor_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.jpg' is neither a list \(\.csv, \.parquet\) nor an archive \(\.zip"):
        found_files(put(tmp_path / "one.jpg"), "auto")
