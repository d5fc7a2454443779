"""Segmentation: a map for each class, one label of the publisher's mask or several."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from brainseg_jax.metrics import overlap
from brainseg_jax.tasks.parts.task import Batch, Task

NAMED_BY = ("classes",)

Classes = Mapping[str, int | Sequence[int]]
Painting = Sequence[tuple[str, int]]
# What a net has a map for: each class that is scored, or each label of the masks.
TARGETS = ("classes", "labels")


def make_task(
    classes: Classes,
    *,
    exclusive: bool,
    threshold: float,
    painting: Painting = (),
    targets: str = "classes",
) -> Task:
    """The task of segmenting these classes, each a label of the publisher's mask or a list.

    `targets` says what the logits are of, one of TARGETS: the classes themselves, or the
    labels that make them, which share a softmax; the same classes are scored either way.

    With `exclusive` the classes share a softmax with background, which comes first in the
    logits; else each class has a sigmoid and is predicted above `threshold`. The target
    is each class's share of a position: `batch["share"]` of a mask that was resized, else 0
    or 1 by `batch["mask"]`.

    The way back to labels is the data set's `painting`: pairs of a class and a label, each
    painted over the ones before, as BraTS has ("WT", 2), ("TC", 1), ("ET", 4). Without one
    a position gets the label of its most probable class among those that are predicted.

    Raises:
        ValueError: if classes that share labels are exclusive, if classes of several labels
            have no painting, if the painting names an unknown class, or if labels are not
            exclusive.
    """
    if targets == "labels":
        return _of_labels(classes, exclusive=exclusive, threshold=threshold)
    return _of_classes(
        classes, exclusive=exclusive, threshold=threshold, painting=painting
    )


def target_labels(classes: Classes, targets: str) -> tuple[tuple[int, ...], ...]:
    """The labels of the mask that each map of a training target is of."""
    members = tuple(map(_labels_of, classes.values()))
    if targets == "classes":
        return members
    return tuple((label,) for label in sorted({*itertools.chain(*members)}))


def _of_classes(
    classes: Classes, *, exclusive: bool, threshold: float, painting: Painting
) -> Task:
    """The task whose maps are those of the classes."""
    names, members_of = list(classes), [_labels_of(one) for one in classes.values()]
    _check(classes, members_of, exclusive, painting)
    places = [(names.index(name), label) for name, label in painting]
    first = jnp.array([labels[0] for labels in members_of], jnp.uint8)

    def target(batch: Batch) -> Float[Array, "n *space o"]:
        shares = batch.get("share")
        if shares is None:
            shares = _members(batch["mask"], members_of).astype(jnp.float32)
        return _with_background(shares) if exclusive else shares

    def probabilities(logits: Float[Array, "n *space o"]) -> Array:
        return jax.nn.softmax(logits) if exclusive else jax.nn.sigmoid(logits)

    def decide(probs: Float[Array, "n *space o"]) -> Bool[Array, "n *space c"]:
        if exclusive:
            return jax.nn.one_hot(probs.argmax(-1), len(names) + 1)[..., 1:] > 0
        return probs > threshold

    def predict(probs: Float[Array, "n *space o"]) -> UInt8[Array, "n *space 1"]:
        found = decide(probs)
        if painting:
            return _paint(found, places)
        return _likeliest(found, probs[..., -len(names) :], first)

    def measure(probs: Float[Array, "n *space o"], batch: Batch) -> overlap.Counts:
        return overlap.counts(decide(probs), _members(batch["mask"], members_of))

    return Task(
        name="segmentation",
        classes=tuple(names),
        uses_masks=True,
        outputs=len(names) + exclusive,
        exclusive=exclusive,
        target=target,
        probabilities=probabilities,
        unflip=jnp.flip,
        resize=_to_grid,
        predict=predict,
        mark=decide,
        measure=measure,
    )


def _of_labels(classes: Classes, *, exclusive: bool, threshold: float) -> Task:
    """The task of telling labels apart, in which the classes that they make are scored."""
    if not exclusive:
        raise ValueError(
            "config.task.targets is 'labels', of which a position has one, but "
            "config.task.exclusive is False; set it to True."
        )
    labels = [one for (one,) in target_labels(classes, "labels")]
    of_labels = make_task(
        {f"label {label}": label for label in labels},
        exclusive=True,
        threshold=threshold,
    )
    members_of = [_labels_of(one) for one in classes.values()]

    def mark(probs: Float[Array, "n *space o"]) -> Bool[Array, "n *space c"]:
        return _members(of_labels.predict(probs), members_of)

    def measure(probs: Float[Array, "n *space o"], batch: Batch) -> overlap.Counts:
        return overlap.counts(mark(probs), _members(batch["mask"], members_of))

    return dataclasses.replace(
        of_labels, classes=tuple(classes), mark=mark, measure=measure
    )


def _with_background(shares: Float[Array, "n *space c"]) -> Float[Array, "n *space o"]:
    """What is left of each position comes first; not below 0, as shares are rounded."""
    background = jnp.maximum(0, 1 - shares.sum(-1, keepdims=True))
    return jnp.concatenate([background, shares], axis=-1)


def _members(
    mask: UInt8[Array, "n *space 1"], members_of: Sequence[tuple[int, ...]]
) -> Bool[Array, "n *space c"]:
    """Where each class is, of which these are the labels."""
    maps = [
        jnp.stack([mask[..., 0] == label for label in labels]).any(0)
        for labels in members_of
    ]
    return jnp.stack(maps, axis=-1)


def _paint(
    found: Bool[Array, "n *space c"], places: Sequence[tuple[int, int]]
) -> UInt8[Array, "n *space 1"]:
    """Labels, painted one class over the other."""
    labels = jnp.zeros((*found.shape[:-1], 1), jnp.uint8)
    for place, label in places:
        labels = jnp.where(found[..., place : place + 1], jnp.uint8(label), labels)
    return labels


def _likeliest(
    found: Bool[Array, "n *space c"],
    probs: Float[Array, "n *space c"],
    labels: UInt8[Array, " c"],
) -> UInt8[Array, "n *space 1"]:
    """The label of the most probable class of those that are decided; 0 without any."""
    likeliest = jnp.where(found, probs, -1).argmax(-1)
    return jnp.where(found.any(-1), labels[likeliest], jnp.uint8(0))[..., None]


def _labels_of(labels: int | Sequence[int]) -> tuple[int, ...]:
    return (labels,) if isinstance(labels, int) else tuple(labels)


def _check(
    classes: Classes,
    members_of: Sequence[tuple[int, ...]],
    exclusive: bool,
    painting: Painting,
) -> None:
    if unknown := {name for name, _ in painting} - {*classes}:
        raise ValueError(
            f"The data set's painting names {unknown.pop()!r}, which is not one of its "
            f"classes {', '.join(classes)}; prepare it again."
        )
    labels = [label for of_class in members_of for label in of_class]
    disjoint = len(set(labels)) == len(labels)
    if disjoint and len(labels) == len(members_of):
        return
    if exclusive and not disjoint:
        raise ValueError(
            f"config.task.exclusive is True, but the classes {', '.join(classes)} are "
            "regions of several labels; set it to False, or config.task.targets to labels."
        )
    if not painting:
        raise ValueError(
            f"The classes {', '.join(classes)} are regions of several labels, and the data "
            'set does not say how they are painted back; give its metadata a "painting".'
        )


def _to_grid(maps: Float[Array, "n *space c"], grid: tuple[int, ...]) -> Array:
    """To the stored mask's own resolution, or whichever is asked for."""
    if maps.shape[1:-1] == tuple(grid):
        return maps
    return jax.image.resize(maps, (len(maps), *grid, maps.shape[-1]), "linear")
