"""The five tables again, split by skin tone and by yaw: what each of the extra tables shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.picture_scoring import COLOUR_ERROR
from pipelines.score_splits import SKIN_TONES, YAWS
from pipelines.tables import BY_SKIN_TONE, BY_YAW, Column, TableSpec

# Tables 1 and 5 by skin tone are the table `skin_tones`.
SPLIT_BY_SKIN_TONE = ("table2_facescape_ablation", "table3_micc", "table4_facescape")
# The column that is split, and whose yaw it is.
SPLIT_BY_YAW: Mapping[str, tuple[str, str]] = {
    "table1_pixel_error": (COLOUR_ERROR, "the true yaw of synthetic photographs"),
    "table5_aflw2000_mouth": ("px", "here in pixels only; the yaw of the mean face fitted to the 68 true landmarks"),
}
_YAW_LABELS = dict(zip(YAWS, ("0–15°", "15–30°", "30–60°", "60° or more"), strict=True))
_NO_YAW = "Tables 2 to 4 cannot be split by yaw, as each of their samples is the average of several views"


def split_specs(specs: Sequence[TableSpec]) -> list[TableSpec]:
    """The split tables that belong to these tables; none of their cells is a metric."""
    found = {spec.name: spec for spec in specs}
    tones = "terciles of the individual typology angle over the samples whose skin tone is known"
    by_tone = [
        _split(found[name], BY_SKIN_TONE, "by skin tone", tones, labels={tone: tone for tone in SKIN_TONES})
        for name in SPLIT_BY_SKIN_TONE
    ]
    by_yaw = [
        _split(_only(found[name], column), BY_YAW, "by yaw", f"{yaw}, to either side; {_NO_YAW}", labels=_YAW_LABELS)
        for name, (column, yaw) in SPLIT_BY_YAW.items()
    ]
    return [*by_tone, *by_yaw]


def _only(spec: TableSpec, column: str) -> TableSpec:
    return replace(spec, columns=tuple(one for one in spec.columns if one.key == column))


def _split(spec: TableSpec, suffix: str, by: str, how: str, *, labels: Mapping[str, str]) -> TableSpec:
    """A table with each column once for each group, and without the methods that do not exist here."""
    return replace(
        spec,
        name=spec.name + suffix,
        title=f"{spec.title.removesuffix('.')}, {by}.",
        caption=f"{spec.caption}; {how}",
        columns=tuple(_of_group(column, group, label) for column in spec.columns for group, label in labels.items()),
        rows=tuple(row for row in spec.rows if row not in spec.not_built),
        not_built=frozenset(),
        metrics_path="",
    )


def _of_group(column: Column, group: str, label: str) -> Column:
    squares = f"{column.squares}_{group}" if column.squares else ""
    return column._replace(key=f"{column.key}_{group}", label=f"{column.label} {label}", squares=squares)
