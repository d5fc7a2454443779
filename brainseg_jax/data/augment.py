"""Paired augmentation of image and target in JAX, inside the step.

Every example has a key of its own, so that what happens to it depends neither on its
place in the batch nor on the number of devices. Nothing here is differentiated through.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from brainseg_jax.data import intensities, volume_moves
from brainseg_jax.data.drawing import symmetric

Options = Mapping[str, Any]  # numbers, but for fill
Batch = dict[str, Array]

# Number of spatial axes -> option -> the axis of an example that it flips.
FLIPS = {
    2: {"flip_vertical": 0, "flip_horizontal": 1},
    3: {"flip_depth": 0, "flip_vertical": 1, "flip_horizontal": 2},
}
AFFINE = ("rotation", "shift", "scale", "shear")
LACKING = {2: ("flip_depth",), 3: ("shear",)}
# What lies beyond the edge of an image and of its shares of classes: the edge once more,
# or each channel's darkest value and no class.
FILLS: dict[str, Callable[[Array, str], Array | None]] = {
    "edge": lambda maps, part: None,
    "empty": lambda maps, part: (
        maps.min(_space(maps)) if part == "image" else jnp.zeros(maps.shape[-1])
    ),
}


def augment(keys: Key[Array, " n"], batch: Batch, options: Options) -> Batch:
    """The batch with image, and shares of classes where it has them, changed together.

    `options` has the keys of `config.augment`; a part whose options are all 0 compiles to
    nothing.
    """
    dimensions = batch["image"].ndim - 2
    wanted = [
        any(options[name] for name in part) and options["probability"] > 0
        for part in ((*FLIPS[dimensions], *AFFINE), intensities.OPTIONS)
    ]
    if wanted[0]:
        # Kept apart from what follows: in one compiled loop with it, a single example is
        # sampled at places rounded otherwise than in a batch, and differs by 5e-5.
        move = _move if dimensions == 2 else _move_volumes
        batch = jax.lax.optimization_barrier(move(keys, batch, options))
    if wanted[1]:
        change = functools.partial(intensities.change, options=options)
        image = jax.vmap(change)(_fold(keys, 1), batch["image"])
        batch = {**batch, "image": image}
    if chance := options["channel_dropout"]:
        drop = functools.partial(intensities.drop_channels, chance=chance)
        batch = {**batch, "image": jax.vmap(drop)(_fold(keys, 2), batch["image"])}
    return batch


def check_options(options: Options, dimensions: int) -> None:
    """Refuses options that images of so many axes do not have.

    Raises:
        ValueError: with the key, its value and what to set it to.
    """
    for name in LACKING[dimensions]:
        if options[name]:
            raise ValueError(
                f"config.augment.{name} is {options[name]}, which images of {dimensions} "
                "axes do not have; set it to 0."
            )


def random_affine(
    key: Key[Array, ""], shape: tuple[int, ...], options: Options
) -> Float[Array, "2 3"]:
    """Where each output pixel comes from, in pixels around the image's middle."""
    on, *keys = jax.random.split(key, 9)
    change = [symmetric(k, 1.0) for k in keys[:5]]
    angle = jnp.deg2rad(options["rotation"]) * change[0]
    shear = jnp.tan(jnp.deg2rad(options["shear"]) * change[1])
    zoom = 1 / (1 + options["scale"] * change[2])
    shift = options["shift"] * jnp.array(shape) * jnp.stack(change[3:5])
    flip_rows, flip_columns = (
        1 - 2 * jax.random.bernoulli(k, options[name]).astype(jnp.float32)
        for k, name in zip(keys[6:], ("flip_vertical", "flip_horizontal"), strict=True)
    )
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    # Rotation times shear, written out: GPUs and TPUs round a matrix product's factors to
    # as few as 8 bits, half a pixel at the edge of an image.
    matrix = zoom * jnp.array(
        [[cosine, cosine * shear - sine], [sine, sine * shear + cosine]]
    )
    matrix = matrix * jnp.stack([flip_rows, flip_columns])[None]
    affine = jnp.concatenate([matrix, shift[:, None]], axis=1)
    moved = jax.random.bernoulli(on, options["probability"])
    return jnp.where(moved, affine, jnp.eye(2, 3))


def sample_linear(
    image: Float[Array, "h w c"],
    affine: Float[Array, "2 3"],
    outside: Float[Array, " c"] | None = None,
) -> Float[Array, "h w c"]:
    """Bilinear; beyond the edge each channel is `outside`, or None: the edge goes on."""
    height, width, channels = image.shape
    sources = _sources(image.shape[:2], affine)
    row, column = (
        jnp.clip(sources[0], 0, height - 1),
        jnp.clip(sources[1], 0, width - 1),
    )
    top, left = jnp.floor(row), jnp.floor(column)
    down, right = (row - top)[:, None], (column - left)[:, None]
    pixels = image.reshape(-1, channels)

    def at(i: Array, j: Array) -> Array:
        i, j = jnp.minimum(i, height - 1), jnp.minimum(j, width - 1)
        place = (i * width + j).astype(jnp.int32)
        return pixels.at[place].get(mode="promise_in_bounds")

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    sampled = upper * (1 - down) + lower * down
    if outside is not None:
        beyond = (jnp.abs(sources[0] - row) > 0.5) | (
            jnp.abs(sources[1] - column) > 0.5
        )
        sampled = jnp.where(beyond[:, None], outside[None], sampled)
    return sampled.reshape(image.shape)


def _move(keys: Key[Array, " n"], batch: Batch, options: Options) -> Batch:
    shape = batch["image"].shape[1:3]
    affines = jax.vmap(lambda key: random_affine(key, shape, options))(_fold(keys, 0))
    outside = FILLS[options["fill"]]
    moved: Batch = {
        part: jax.vmap(
            lambda maps, affine, part=part: sample_linear(
                maps, affine, outside(maps, part)
            )
        )(batch[part], affines)
        for part in ("image", "share")
        if part in batch
    }
    return {**batch, **moved}


def _move_volumes(keys: Key[Array, " n"], batch: Batch, options: Options) -> Batch:
    """Flips alone exactly and by no sampling; else images linear, their masks nearest."""
    check_options(options, 3)
    keys = _fold(keys, 0)
    if not any(options[name] for name in AFFINE):
        return _flip(keys, batch, options)
    shape, outside = batch["image"].shape[1:4], FILLS[options["fill"]]
    affines = jax.vmap(lambda key: volume_moves.random_affine(key, shape, options))(
        keys
    )
    samplers = {
        "image": volume_moves.sample_linear,
        "share": volume_moves.sample_nearest,
    }
    moved: Batch = {
        part: jax.vmap(
            lambda maps, affine, part=part, sample=sample: sample(
                maps, affine, outside(maps, part)
            )
        )(batch[part], affines)
        for part, sample in samplers.items()
        if part in batch
    }
    return {**batch, **moved}


def _flip(keys: Key[Array, " n"], batch: Batch, options: Options) -> Batch:
    """Volumes along each axis with its own probability."""
    flips = FLIPS[3]

    def draw(key: Array) -> Array:
        on, *own = jax.random.split(key, len(flips) + 1)
        chances = [options[name] for name in flips]
        flipped = jnp.stack(list(map(jax.random.bernoulli, own, chances)))
        return flipped & jax.random.bernoulli(on, options["probability"])

    flipped = jax.vmap(draw)(keys)
    moved: Batch = {}
    for part in ("image", "share"):
        if part in batch:
            maps = batch[part]
            each = (len(maps),) + (1,) * (maps.ndim - 1)
            for axis in flips.values():
                chosen = flipped[:, axis].reshape(each)
                maps = jnp.where(chosen, jnp.flip(maps, axis + 1), maps)
            moved[part] = maps
    return {**batch, **moved}


def _space(maps: Array) -> tuple[int, ...]:
    """The spatial axes of one example's maps."""
    return tuple(range(maps.ndim - 1))


def _sources(
    shape: tuple[int, ...], affine: Float[Array, "2 3"]
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Row and column that each output pixel comes from, pixels in reading order."""
    middle = (jnp.array(shape, jnp.float32) - 1) / 2
    row, column = (
        axis.reshape(-1).astype(jnp.float32)
        for axis in jnp.meshgrid(*map(jnp.arange, shape), indexing="ij")
    )
    row, column = row - middle[0], column - middle[1]
    matrix, shift = affine[:, :2], affine[:, 2] + middle
    return (
        matrix[0, 0] * row + matrix[0, 1] * column + shift[0],
        matrix[1, 0] * row + matrix[1, 1] * column + shift[1],
    )


def _fold(keys: Key[Array, " n"], number: int) -> Key[Array, " n"]:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)
