"""The local and the Dask engine: the same bytes, whatever happens to a worker."""

import importlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from pipelines import engines
from pipelines.engines import IN_THIS_PROCESS, computed
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.params import LabellingParams
from pipelines.shard_memo import Item
from pipelines.shards import ShardReader, ShardWriter, write_rows

TWO_DASK_WORKERS = LabellingParams(engine="dask", scheduler="", workers=2)


@pytest.fixture(autouse=True)
def threads_of_this_process() -> Iterator[None]:
    """What runs later, here or in processes of its own, adds up on as many threads as before."""
    threads, environment = torch.get_num_threads(), dict(os.environ)
    yield
    torch.set_num_threads(threads)  # a worker may have been this process
    limits = [name for name in os.environ if name.endswith("_NUM_THREADS")]
    assert {name: os.environ[name] for name in limits} == {name: environment.get(name) for name in limits}


@dataclass(frozen=True)
class Reversed:
    """Turns texts round; the first process that comes to a chosen key kills itself in the middle of its shard."""

    source: Path
    killed_at: str = ""
    grave: Path = Path()
    starter: int = 0

    def prepare(self) -> LabelShard:
        reader = ShardReader(self.source)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            for key in keys:
                if key == self.killed_at and not self.grave.exists():
                    self.grave.write_text("\n".join(_listening_addresses(self.starter)))
                    os.kill(os.getpid(), signal.SIGKILL)
                yield Item(key, {"txt": reader.read(key, "txt")[::-1]}, {"key": key, "length": len(key)})

        return label_shard


def _listening_addresses(process: int) -> list[str]:
    """Of a process and all that it has started."""
    starter = psutil.Process(process)
    family = [starter, *starter.children(recursive=True)]
    connections = [one for process in family for one in process.net_connections("tcp")]
    return [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN]


def _write_source(folder: Path) -> None:
    keys = [f"key-{number}" for number in range(12)]
    with ShardWriter(folder, keys_per_shard=2) as writer:
        for key in keys:
            writer.write(key, {"txt": f"text of {key}".encode()})
    write_rows(folder, pd.DataFrame({"key": keys}))


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_dask_gives_the_local_bytes_though_a_worker_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    source = tmp_path / "source"
    _write_source(source)
    victim = Reversed(source, killed_at="key-5", grave=tmp_path / "grave", starter=os.getpid())
    for step, engine, name in ((Reversed(source), IN_THIS_PROCESS, "local"), (victim, TWO_DASK_WORKERS, "dask")):
        memo = tmp_path / f"memo-{name}"
        rows = map_shards(step, {source: ()}, tmp_path / name, fingerprint={"stage": "test"}, memo=memo, engine=engine)
        write_rows(tmp_path / name, rows)
    addresses = (tmp_path / "grave").read_text().split()
    assert addresses and set(addresses) == {"127.0.0.1"}
    assert _contents(tmp_path / "dask") == _contents(tmp_path / "local")
    assert len(list((tmp_path / "memo-dask").glob("[!p]*"))) == 6


def test_an_error_on_a_cluster_elsewhere_reaches_the_stage() -> None:
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": None}
    with distributed.LocalCluster(n_workers=1, worker_dashboard_address=None, **options) as cluster:
        engine = TWO_DASK_WORKERS.model_copy(update={"scheduler": cluster.scheduler_address})
        assert list(computed(abs, [-3], engine=engine, one_thread=True)) == [3]
        with pytest.raises(ZeroDivisionError):
            list(computed((1).__floordiv__, [0], engine=engine, one_thread=True))


def test_a_worker_with_old_code_refuses_to_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_ROOT", tmp_path)
    engines._code_at_first.cache_clear()
    code = tmp_path / "pipelines" / "code.py"
    code.parent.mkdir()
    code.write_text("")
    on_worker = engines._OnWorker(abs, torch.get_num_threads())
    assert on_worker(-1) == on_worker(-1) == 1
    os.utime(code, ns=(1, 1))
    with pytest.raises(RuntimeError, match=r"has changed since .* restart the workers"):
        on_worker(-1)
    engines._code_at_first.cache_clear()


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[dask\]', or set labelling\.engine: local"):
        list(computed(abs, [1], engine=TWO_DASK_WORKERS, one_thread=True))


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    dask = pytest.importorskip("dask")
    engine = TWO_DASK_WORKERS.model_copy(update={"scheduler": "tcp://127.0.0.1:1"})
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(
            ConnectionError, match=r"labelling\.scheduler: .*tcp://127\.0\.0\.1:1.*`python -m dask scheduler`"
        ),
    ):
        list(computed(abs, [1], engine=engine, one_thread=True))


def test_local_work_uses_one_thread_or_those_of_this_process() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for one_thread, expected in ((True, 1), (False, 3)):
            used = computed(_threads, [0, 1], engine=IN_THIS_PROCESS, one_thread=one_thread)
            assert list(used) == [expected, expected]
    finally:
        torch.set_num_threads(threads)


def _threads(task: int) -> int:
    return torch.get_num_threads()
