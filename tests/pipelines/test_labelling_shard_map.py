"""The memo of label shards: what is made again, what is not, and what a killed stage leaves."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from pipelines.labelling import shard_map
from pipelines.labelling.shard_map import LabelShard, Step, map_shards
from pipelines.shard_memo import Item
from pipelines.shards import ShardReader, ShardWriter, read_rows, verify, write_rows

KEYS = ("a", "b", "c", "d", "e")


class Stage:
    """A stage that turns bytes into capitals and remembers which keys it was asked for."""

    def __init__(self, root: Path) -> None:
        self.source, self.output, self.memo = root / "source", root / "output", root / "memo"
        self.log = root / "log"
        self.write_source({key: f"text {key}" for key in KEYS})

    def write_source(self, texts: dict[str, str], **columns: str) -> None:
        shutil.rmtree(self.source, ignore_errors=True)
        with ShardWriter(self.source, keys_per_shard=2) as writer:
            for key, text in texts.items():
                writer.write(key, {"txt": text.encode()})
        write_rows(self.source, pd.DataFrame({"key": list(texts), **columns}))

    def run(self, step: Step | None = None, columns: Sequence[str] = (), **fingerprint: object) -> list[str]:
        """Keys that were asked for, in order; "!" stands for each time the step was prepared."""
        self.log.write_text("")
        rows = map_shards(
            step or Capitals(self.source, self.log),
            {self.source: columns},
            self.output,
            fingerprint={"stage": "test", **fingerprint},
            memo=self.memo,
        )
        write_rows(self.output, rows)
        return self.log.read_text().split()


@dataclass(frozen=True)
class Capitals:
    source: Path
    log: Path
    dies_after: str = ""

    def prepare(self) -> LabelShard:
        self._say("!")
        reader = ShardReader(self.source)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            for key in keys:
                self._say(key)
                members = {} if key == "b" else {"txt": reader.read(key, "txt").upper()}
                yield Item(key, members, {"key": key, "kept": bool(members)})
                if key == self.dies_after:
                    raise KeyboardInterrupt

        return label_shard

    def _say(self, word: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{word} ")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_output_has_the_same_shards_and_keys_and_a_row_for_each(stage: Stage) -> None:
    assert stage.run() == ["!", *KEYS]
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
    assert {file.name: file.read_bytes() for file in stage.output.iterdir()} == before


def test_only_the_shard_that_changed_is_made_again(stage: Stage) -> None:
    stage.run()
    stage.write_source({key: "new" if key == "d" else f"text {key}" for key in KEYS})
    assert stage.run() == ["!", "c", "d"]
    assert ShardReader(stage.output).read("d", "txt") == b"NEW"


def test_only_columns_that_the_labels_depend_on_ask_for_everything(stage: Stage) -> None:
    texts = {key: f"text {key}" for key in KEYS}
    stage.write_source(texts, split="train", tone="dark")
    stage.run(columns=["tone"])
    stage.write_source(texts, split="test", tone="dark")
    assert stage.run(columns=["tone"]) == []
    stage.write_source(texts, split="test", tone="light")
    assert stage.run(columns=["tone"]) == ["!", *KEYS]


def test_a_changed_fingerprint_asks_for_everything(stage: Stage) -> None:
    stage.run()
    assert stage.run(weights="other") == ["!", *KEYS]


def test_one_new_shard_in_a_hundred_asks_for_its_keys_only(stage: Stage) -> None:
    texts = {f"key-{number:03d}": f"text {number}" for number in range(200)}
    stage.write_source(texts)
    stage.run()
    stage.write_source({**texts, "new-1": "one", "new-2": "two"})
    assert stage.run() == ["!", "new-1", "new-2"]


def test_without_its_memo_a_stage_does_its_work(stage: Stage, tmp_path: Path) -> None:
    stage.run()
    stage.memo.rename(tmp_path / "gone")
    assert stage.run() == ["!", *KEYS]


def test_shards_that_no_longer_exist_leave_the_output(stage: Stage) -> None:
    stage.run()
    shutil.rmtree(stage.source)
    stage.write_source({key: f"text {key}" for key in KEYS[:4]})
    stage.run()
    assert "e" not in ShardReader(stage.output)


def test_killed_stage_keeps_its_finished_shards_and_nothing_half_written(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage.run(Capitals(stage.source, stage.log, dies_after="c"))
    assert stage.run() == ["!", "c", "d", "e"]
    assert ShardReader(stage.output).read("a", "txt") == b"TEXT A"


def test_a_network_is_not_kept_for_a_run_with_other_contents(stage: Stage) -> None:
    """A worker of a cluster that outlives a run must not read through the reader of the old source."""
    step = Capitals(stage.source, stage.log)
    assert [item.key for item in shard_map._LabelKeys(step, "first run", ("a",))()] == ["a"]
    stage.write_source({"z": "a text of another length"})
    (item,) = shard_map._LabelKeys(step, "second run", ("z",))()
    assert item.members["txt"] == b"A TEXT OF ANOTHER LENGTH"
    assert stage.log.read_text().split() == ["!", "a", "!", "z"]
