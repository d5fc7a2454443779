"""Examples of a surveyed data set: random ones, and random ones with foreground."""

from pathlib import Path
from typing import Any

import numpy as np

from brainseg_jax.data.survey import Survey
from brainseg_jax.reports.parts import example_panels, panels, planes, survey_tables
from brainseg_jax.reports.parts.panels import Panel

EXAMPLES = 12


def draw_pairs(found: Survey, path: Path, rng: np.random.Generator) -> str:
    """Scans and their masks; of volumes the plane with most foreground."""
    if not found.has_masks:
        return survey_tables.NO_MASKS
    shown = []
    for row in choose_rows(found, np.arange(len(found.index)), rng):
        example = found.read(row)
        plane = _plane(example)
        shown += [
            Panel(
                example_panels.scan(example["image"][plane]), _where(found, row, plane)
            ),
            _mask_panel(found, row, example["mask"][plane]),
        ]
    title = f"Random examples of {found.info.name}, with their masks"
    note = found.info.note()
    panels.draw_panels(shown, 6, path, together=2, title=title, note=note)
    return ""


def draw_tumours(found: Survey, path: Path, rng: np.random.Generator) -> str:
    """Scan, mask, and mask over scan; of volumes the plane with most foreground."""
    rows = np.flatnonzero(found.index.foreground)
    if nothing := survey_tables.missing_masks(found):
        return nothing
    shown, bordered = [], False
    for row in choose_rows(found, rows, rng):
        example = found.read(row)
        bordered |= "border" in example
        shown += _tumour_panels(found, row, example)
    title = f"Examples with foreground of {found.info.name}"
    line = "Yellow: the publisher's border of the mask" if bordered else ""
    note = "; ".join(filter(None, (found.info.note(), line)))
    panels.draw_panels(shown, 6, path, together=3, title=title, note=note)
    return ""


def choose_rows(
    found: Survey, rows: np.ndarray, rng: np.random.Generator, most: int = EXAMPLES
) -> list[int]:
    """At random, a second one of a patient only once every patient has one."""
    seen: dict[str, int] = {}
    order = []
    for place, row in enumerate(rng.permutation(rows).tolist()):
        patient = found.index.patients[row]
        seen[patient] = seen.get(patient, 0) + 1
        order.append((seen[patient], place, row))
    chosen = [row for *_, row in sorted(order)[:most]]
    return sorted(chosen, key=lambda row: (found.index.labels[row], row))


def _tumour_panels(found: Survey, row: int, example: dict[str, Any]) -> list[Panel]:
    plane = _plane(example)
    image, mask = example["image"][plane], example["mask"][plane]
    border = example.get("border")
    both = example_panels.scan_with_mask(image, mask, found.info.classes, border)
    return [
        Panel(example_panels.scan(image), _where(found, row, plane)),
        _mask_panel(found, row, mask),
        Panel(both, "scan with\nmask"),
    ]


def _mask_panel(found: Survey, row: int, mask: np.ndarray) -> Panel:
    label = found.info.labels[found.index.labels[row]]
    return Panel(
        example_panels.painted_mask(mask, found.info.classes), f"mask\n{label}"
    )


def _plane(example: dict[str, Any]) -> planes.Plane:
    return planes.choose_plane(example["image"], example["mask"][..., 0] > 0)


def _where(found: Survey, row: int, plane: planes.Plane) -> str:
    index = found.index
    number = f"plane {plane[0]}" if plane else f"slice {index.slices[row]}"
    return f"{index.patients[row]}\n{number}, {index.splits[row]}"
