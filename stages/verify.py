"""Checks every shard on disk against the SHA-256 in its manifest; not a stage of the graph, `make verify` runs it."""

from stages._stage import PathFlag, run_stage


def verify(*, data: PathFlag) -> None:
    """Re-hash every shard under a folder; ends with an error naming the first damaged one."""
    from pipelines.shards import MANIFEST
    from pipelines.shards import verify as verify_folder

    folders = sorted(manifest.parent for manifest in data.rglob(MANIFEST))
    for folder in folders:
        verify_folder(folder)
    print(f"{len(folders)} shard folders are intact")


if __name__ == "__main__":
    run_stage(verify)
