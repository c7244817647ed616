"""The tables beyond the paper that measure the measures: other protocols, and vertices that correspond."""

from models.protocols import PROTOCOLS
from pipelines.tables import Column, TableSpec


def protocols_spec(data: str, rows: tuple[str, ...]) -> TableSpec:
    """MICC, or its twin, under every named protocol."""
    return TableSpec(
        "protocols",
        "Beyond the paper: Table 3 under other protocols.",
        f"{data}, all clips; {'; '.join(f'{name}: {one.description}' for name, one in PROTOCOLS.items())}; what each"
        " takes from its source, and what is only assumed, is in models/protocols.py",
        tuple(Column(name, name.replace("_", " "), "mm") for name in PROTOCOLS),
        rows,
        metrics_path="protocols/micc",
    )


def vertex_errors_spec(data: str, rows: tuple[str, ...]) -> TableSpec:
    """The ablation of Table 2, measured at corresponding vertices."""
    return TableSpec(
        "vertex_errors",
        "Beyond the paper: Table 2 by corresponding vertices, and whether ICP ranks as they do.",
        f"{data}; mean distance of corresponding vertices within 95 mm of the nose tip after the least-squares"
        " alignment by a similarity or by a rigid motion; agreement: Kendall's tau between the error with the"
        " similarity and that of Table 2, 1 where both rank alike and 0 by chance, over the samples of a method,"
        " and over the methods on a sample",
        (
            Column("similarity", "similarity", "mm"),
            Column("rigid", "rigid", "mm"),
            Column("tau_over_samples", "agreement over samples", "", metric=False),
            Column("tau_over_methods", "agreement over methods", "", metric=False),
        ),
        rows,
        metrics_path="vertex/facescape",
    )
