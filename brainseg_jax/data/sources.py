"""Splits of prepared data sets: what is known of every example, and the example itself."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Bool, Float32, Int, Int32

from brainseg_jax.data import (
    fitting,
    memory,
    neighbours,
    normalise,
    patches,
    pixels,
    splits,
    stored,
)
from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data.fitting import Fit
from brainseg_jax.data.info import Info
from brainseg_jax.data.patches import Patches
from brainseg_jax.tasks import segmentation

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Source:
    """One split, ordered by patient and slice number; examples of any shape and dtype."""

    info: Info
    keys: list[str]
    patients: list[str]
    slices: list[int]
    shapes: list[tuple[int, ...]]  # of the stored examples, without channels
    tumour: Bool[np.ndarray, " n"]  # whether there is any foreground
    present: Bool[np.ndarray, "n c"]  # and whether there is any of each class
    labels: Int32[np.ndarray, " n"]  # places in info.labels
    scaling: Float32[np.ndarray, "n 4 d"]  # of images as they are seen
    read_stored: Callable[[int], tuple[np.ndarray, np.ndarray]]  # -> image, mask
    fit: Fit  # of one example, to the model
    # Of volumes, mm; NaN where not known. Of slices, their volume's; (): not known.
    spacings: Sequence[tuple[float, ...]] = ()
    patches: Patches | None = None  # that training cuts out of what `fit` gives
    # Places of the slices that each is seen with, in order; None: each by itself
    together: Int32[np.ndarray, "n s"] | None = None
    # Of all examples, once decoded; a list where their shapes differ.
    arrays: Mapping[str, np.ndarray | list[np.ndarray]] = dataclasses.field(
        default_factory=dict
    )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def stackable(self) -> bool:
        """Whether all examples make one array of each part."""
        fitted = self.fit.size and self.fit.target != "mask"
        return bool(fitted) or len(set(self.shapes)) == 1

    @property
    def residable(self) -> bool:
        """Whether a device can keep all examples and take them, or patches, by index."""
        return self.stackable or self.patches is not None

    @property
    def decoded_bytes(self) -> int:
        """Of images and targets of all examples, once decoded."""
        return memory.decoded_bytes(
            self.shapes,
            channels=len(self.info.channels),
            dtype=self.info.dtype,
            classes=len(self.fit.classes) if self.fit.target else 0,
            size=self.fit.size,
            stored_masks=self.fit.target == "mask",
        )

    def alone(self, i: int) -> Batch:
        """Image and target of one example, decoded."""
        if self.arrays:
            return {name: kept[i] for name, kept in self.arrays.items()}
        return self.fit(*self.read_stored(i))

    def example(self, i: int) -> Batch:
        """The same, the image with those that it is seen with."""
        own = self.alone(i)
        if self.together is None:
            return own
        slices = [own if k == i else self.alone(int(k)) for k in self.together[i]]
        return {**own, "image": neighbours.join([one["image"] for one in slices])}

    def seen(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """A stored image with those that it is seen with, and its mask."""
        image, mask = self.read_stored(i)
        if self.together is None:
            return image, mask
        slices = [
            image if k == i else self.read_stored(int(k))[0] for k in self.together[i]
        ]
        return neighbours.join(slices), mask

    def take(self, indices: Int[np.ndarray, " b"]) -> Batch:
        """Images, masks, labels and scalings of some examples, on the host."""
        return self._with_numbers([self.example(int(i)) for i in indices], indices)

    def take_patches(
        self, indices: Int[np.ndarray, " b"], corners: Int[np.ndarray, "b d"]
    ) -> Batch:
        """Like `take`, of the part at each corner alone; its target is always shares."""
        cuts = [
            self._cut(self.example(int(i)), corner)
            for i, corner in zip(indices, corners, strict=True)
        ]
        return self._with_numbers(cuts, indices)

    def _cut(self, example: Batch, corner: np.ndarray) -> Batch:
        assert self.patches is not None
        size, fill = self.patches.size, self.patches.fill
        image = patches.cut(example["image"], corner, size, fill=fill)
        if "mask" not in example:
            return {"image": image}
        mask = patches.cut(example["mask"], corner, size, fill=fill, empty=0)
        share = fitting.area_shares(mask, self.fit.classes, size)
        return {"image": image, "share": share}

    def _with_numbers(self, examples: Sequence[Batch], indices: np.ndarray) -> Batch:
        return {
            **{
                name: np.stack([example[name] for example in examples])
                for name in examples[0]
            },
            "label": self.labels[indices],
            "scaling": self.scaling[indices],
        }


def open_split(
    name: str,
    split: str,
    data_dir: str | pathlib.Path,
    *,
    size: tuple[int, ...],
    normalisation: dict[str, Any],
    only_tumour: bool,
    foreground: str = "",
    targets: str = "classes",
    channels: Sequence[str] = (),
    reach: int = 0,
    stored_masks: bool = False,
    with_masks: bool = True,
    cutting: Mapping[str, Any] | None = None,
) -> Source:
    """Opens a split ("fold_0+fold_1", or a leaky one) of a prepared data set.

    No pixels are read, only the data set's index, which has statistics of whole volumes.
    Images are resized to `size`. Masks keep their stored size with `stored_masks`; else
    batches have "share", each class's share of every pixel, or each label's, as `targets`
    says (tasks/segmentation.py). Without `with_masks` they have neither. `foreground` makes
    one class of all, as Info.joined has it; of the `channels` named images have no others,
    () for all. Slices are seen with `reach` before and after them (data/neighbours.py).
    With `cutting`, the size, foreground_share and fill of patches.Patches, training batches
    are parts of examples as they are stored.

    Raises:
        FileNotFoundError: if the data set is not prepared, or by an older version.
        ValueError: if the split, a size, channel or normalisation cannot be; says why.
    """
    info = data_info.read_info(name, data_dir).choosing(channels).joined(foreground)
    builder = data_info.open_builder(name, data_dir)
    index = data_index.read_index(builder.data_dir)
    rows = splits.rows_of(
        index, info, split, list(builder.info.splits), only_tumour=only_tumour
    )
    _check_axes(info, size=size, patch=cutting["size"] if cutting else ())
    target = ("mask" if stored_masks or cutting else "share") if with_masks else ""
    maps = segmentation.target_labels(info.classes, targets)
    statistics = index.statistics.take(rows).of_channels(info.chosen_places)
    source = Source(
        info=info,
        keys=[index.keys[row] for row in rows],
        patients=[index.patients[row] for row in rows],
        slices=[index.slices[row] for row in rows],
        shapes=[index.shapes[row] for row in rows],
        tumour=index.foreground[rows],
        present=_present([index.place_labels[row] for row in rows], info),
        labels=index.labels[rows],
        scaling=normalise.scaling(statistics, **normalisation),
        read_stored=_reader(builder, index, rows, info.chosen_places),
        fit=Fit(() if cutting else size, target, maps),
    )
    source = _with_spacings(source, index, rows)
    source = _with_neighbours(source, index, rows, reach, split)
    _tell(source, split)
    return _with_patches(source, index, rows, cutting)


def _with_spacings(
    source: Source, index: data_index.Index, rows: Sequence[int]
) -> Source:
    """How far apart the voxels of each lie, and of volumes of most.

    Of slices, that of slices, rows and columns of their volume, where all are known.
    """
    if source.info.dimensions != 3:
        own = [tuple(index.spacings[index.volumes[row]].tolist()) for row in rows]
        known = all(len(one) == 3 and np.isfinite(one).all() for one in own)
        return dataclasses.replace(source, spacings=own) if known else source
    info = dataclasses.replace(source.info, spacing=index.usual_spacing(rows))
    spacings = [tuple(index.spacings[index.volumes[row]].tolist()) for row in rows]
    others = [
        one for one in spacings if not data_info.spacings_alike(one, info.spacing)
    ]
    if others:
        logging.warning(
            "%s: %d of %d volumes have voxels of another size than most, %s mm (as %s); "
            "they are trained on and scored as stored, not resampled.",
            info.name,
            len(others),
            len(spacings),
            info.spacing,
            others[0],
        )
    return dataclasses.replace(source, info=info, spacings=spacings)


def _with_neighbours(
    source: Source,
    index: data_index.Index,
    rows: Sequence[int],
    reach: int,
    split: str,
) -> Source:
    """Of slices, seen with `reach` before and after them."""
    if not reach:
        return source
    places = neighbours.of_rows(index, rows, reach, f"{source.info.name} {split}")
    scaling = neighbours.join_scaling(source.scaling, places)
    return dataclasses.replace(source, together=places, scaling=scaling)


def _with_patches(
    source: Source,
    index: data_index.Index,
    rows: Sequence[int],
    cutting: Mapping[str, Any] | None,
) -> Source:
    if not cutting:
        return source
    places = [index.places[row] for row in rows]
    cut = Patches(shapes=source.shapes, places=places, **cutting)
    return dataclasses.replace(source, patches=cut)


def _tell(source: Source, split: str) -> None:
    patients, name = len(set(source.patients)), source.info.name
    logging.info(
        "%s %s: %d examples of %d patients", name, split, len(source), patients
    )


def _reader(
    builder: Any, index: data_index.Index, rows: Sequence[int], chosen: Sequence[int]
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Image and mask by their place in `rows`, of the channels at the places `chosen`."""
    read = stored.open_records(builder)

    def read_stored(i: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read(index.splits[rows[i]], index.records[rows[i]])
        return pixels.choose_channels(image, chosen), mask

    return read_stored


def _present(
    labels: Sequence[Int[np.ndarray, " k"]], info: Info
) -> Bool[np.ndarray, "n c"]:
    """Of some places of each example's foreground, whether any is of each class."""
    classes = [np.atleast_1d(of_class) for of_class in info.classes.values()]
    found = [[np.isin(own, one).any() for one in classes] for own in labels]
    return np.array(found, bool).reshape(len(labels), len(classes))


def _check_axes(info: Info, **sizes: tuple[int, ...]) -> None:
    for key, size in sizes.items():
        if size and len(size) != info.dimensions:
            raise ValueError(
                f"config.data.{key} has {len(size)} numbers, {size}, but examples of "
                f"{info.name} have {info.dimensions} axes."
            )
