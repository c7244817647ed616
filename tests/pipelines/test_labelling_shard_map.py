"""The memo of label shards: what is made again, what is not, and what a killed stage leaves."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from pipelines.labelling.shard_map import Label, LabelShard, map_shards, source_digest
from pipelines.shards import ShardReader, ShardWriter, read_rows, verify, write_rows

KEYS = ("a", "b", "c", "d", "e")


class Stage:
    """A stage that turns bytes into capitals and remembers which keys it was asked for."""

    def __init__(self, root: Path) -> None:
        self.source, self.output, self.memo = root / "source", root / "output", root / "memo"
        self.asked: list[str] = []
        self.prepared = 0
        self.write_source({key: f"text {key}" for key in KEYS})

    def write_source(self, texts: dict[str, str], split: str = "train") -> None:
        with ShardWriter(self.source, keys_per_shard=2) as writer:
            for key, text in texts.items():
                writer.write(key, {"txt": text.encode()})
        write_rows(self.source, pd.DataFrame({"key": list(texts), "split": split}))

    def prepare(self) -> LabelShard:
        self.prepared += 1
        reader = ShardReader(self.source)

        def label_shard(keys: Sequence[str]) -> Iterator[Label]:
            for key in keys:
                self.asked.append(key)
                members = {} if key == "b" else {"txt": reader.read(key, "txt").upper()}
                yield Label(key, members, {"key": key, "kept": bool(members)})

        return label_shard

    def run(self, prepare: Callable[[], LabelShard] | None = None, **fingerprint: object) -> list[str]:
        self.asked = []
        rows = map_shards(
            [self.source],
            self.output,
            prepare=prepare or self.prepare,
            fingerprint={"stage": "test", **fingerprint},
            memo=self.memo,
        )
        write_rows(self.output, rows)
        return self.asked


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_output_has_the_same_shards_and_keys_and_a_row_for_each(stage: Stage) -> None:
    assert stage.run() == list(KEYS)
    reader = ShardReader(stage.output)
    assert {shard.name: keys for shard, keys in reader.keys_by_shard.items()} == {
        "shard-00000.tar": ["a"],
        "shard-00001.tar": ["c", "d"],
        "shard-00002.tar": ["e"],
    }
    assert reader.read("c", "txt") == b"TEXT C"
    assert read_rows(stage.output)["kept"].tolist() == [True, False, True, True, True]
    verify(stage.output)


def test_second_run_asks_for_nothing_and_writes_the_same(stage: Stage) -> None:
    stage.run()
    before = {file.name: file.read_bytes() for file in stage.output.iterdir()}
    assert stage.run() == []
    assert stage.prepared == 1
    assert {file.name: file.read_bytes() for file in stage.output.iterdir()} == before


def test_only_the_shard_that_changed_is_made_again(stage: Stage) -> None:
    stage.run()
    stage.write_source({key: "new" if key == "d" else f"text {key}" for key in KEYS})
    assert stage.run() == ["c", "d"]
    assert ShardReader(stage.output).read("d", "txt") == b"NEW"


def test_changed_rows_and_changed_fingerprints_ask_for_everything(stage: Stage) -> None:
    stage.run()
    stage.write_source({key: f"text {key}" for key in KEYS}, split="test")
    assert stage.run() == list(KEYS)
    assert stage.run(weights="other") == list(KEYS)


def test_without_its_memo_a_stage_does_its_work(stage: Stage, tmp_path: Path) -> None:
    stage.run()
    stage.memo.rename(tmp_path / "gone")
    assert stage.run() == list(KEYS)


def test_shards_that_no_longer_exist_leave_the_output(stage: Stage) -> None:
    stage.run()
    shutil.rmtree(stage.source)
    stage.write_source({key: f"text {key}" for key in KEYS[:4]})
    stage.run()
    assert "e" not in ShardReader(stage.output)


def test_killed_stage_keeps_its_finished_shards_and_nothing_half_written(stage: Stage) -> None:
    def killed_in_second_shard() -> LabelShard:
        label_shard = stage.prepare()

        def dying(keys: Sequence[str]) -> Iterator[Label]:
            for label in label_shard(keys):
                yield label
                if label.key == "c":
                    raise KeyboardInterrupt

        return dying

    with pytest.raises(KeyboardInterrupt):
        stage.run(killed_in_second_shard)
    assert stage.run() == ["c", "d", "e"]
    assert ShardReader(stage.output).read("a", "txt") == b"TEXT A"


def test_digest_of_code_follows_its_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("x = 1")
    second.write_text("x = 2")
    assert source_digest(str(first)) != source_digest(str(second))
    assert source_digest(str(first)) == source_digest(str(first))
