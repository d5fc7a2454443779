"""Gradients of 3x3 kernels by Winograd's matmuls, for CPUs, where XLA's own are slow.

The gradient of a kernel K of the convolution Y = X * K ("SAME", stride 1) is

    dK[a, b, c, f] = sum over n, i, j of X[n, i + a - 1, j + b - 1, c] dY[n, i, j, f],

itself a correlation of two images with nine results for each pair of channels.

"winograd_m" cuts dY into tiles of m x m and X into the tiles of (m + 2) x (m + 2) that
they were computed from. A tile's part of dK is a correlation, which takes (m + 2)^2
multiplications instead of 9 m^2 when it is computed as polynomials are multiplied by their
values at m + 2 points, one of them infinity (Lavin and Gray 2016, arXiv 1509.09308, section
4.2, F(3x3, mxm)). With the matrices B^T, A and G^T of those points,

    dK = G^T (sum over tiles of (B^T x B) (A dy A^T)) G,

and the sum over tiles is a matmul of channels for each of the (m + 2)^2 places: 2.25 and 4
times fewer multiplications for m = 2 and 4. The price is additions for the transforms, and
rounding: docs/speed.md has times and errors.
"""

import functools
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

KernelGradient = Callable[[Array, Array], Array]

# Values of a part of an image whose transforms stay in a cache: 2 MiB.
PART = 2**19
# Values for each of a product, beneath which adding up products costs too much.
ADDED = 8
# Finite points of F(3x3, mxm). The usual 0, 1, -1, 2, -2 have twice the error for m = 4.
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.625, -0.625, 1.5, -1.5)}


def winograd(
    image: Float[Array, "n h w c"], change: Float[Array, "n h w f"], *, outputs: int
) -> Float[Array, "3 3 c f"]:
    """The gradient by F(3x3, outputs x outputs); `change` is that of the output.

    It is computed in parts that stay in a processor's cache, which halves the time.
    """
    of_image, of_change, of_kernel = transforms(POINTS[outputs])
    (n, height, width, channels), features = image.shape, change.shape[-1]
    images, rows = part_of(n, height, width, channels, features, outputs)
    margins = [(0, -height % rows), (0, -width % outputs)]
    change = jnp.pad(change, ((0, 0), *margins, (0, 0)))
    image = jnp.pad(image, ((0, 0), *((1, 1 + end) for _, end in margins), (0, 0)))

    def product(first: Int[Array, "2"]) -> Float[Array, "side side c f"]:
        """Of the transforms of the part that begins at this image and row."""
        tiles = [
            _transform_tiles(
                jax.lax.dynamic_slice(
                    whole,
                    (*first, 0, 0),
                    (images, rows + beyond, *whole.shape[2:]),
                ),
                matrix,
                outputs,
            )
            for whole, matrix, beyond in ((image, of_image, 2), (change, of_change, 0))
        ]
        return jnp.einsum("xypc,xypf->xycf", *tiles)

    if (images, rows) == (n, change.shape[1]):
        products = product(jnp.zeros(2, int))
    else:
        firsts = itertools.product(range(0, n, images), range(0, height, rows))
        products, _ = jax.lax.scan(
            lambda total, first: (total + product(first), None),
            jnp.zeros((outputs + 2, outputs + 2, channels, features)),
            jnp.array(list(firsts)),
        )
    return jnp.einsum("xa,yb,xycf->abcf", of_kernel, of_kernel, products)


def part_of(
    n: int, height: int, width: int, channels: int, features: int, outputs: int
) -> tuple[int, int]:
    """Images and rows of a part: whole images that divide n, or some rows of one image.

    It is small enough for a processor's cache, but not so small that adding up the
    products, `channels` x `features` each, takes longer.
    """
    most = max(PART, ADDED * channels * features)
    row = width * max(channels, features)
    height += -height % outputs
    if height * row > most:
        rows = max(outputs, most // row // outputs * outputs)
        even = -(-height // -(-height // rows))
        return 1, even + -even % outputs
    at_once = [k for k in range(1, n + 1) if n % k == 0 and k * height * row <= most]
    return max(at_once), height


DIRECT = "direct"  # XLA's own
FORMS: dict[str, KernelGradient] = {
    "winograd_2": functools.partial(winograd, outputs=2),
    "winograd_4": functools.partial(winograd, outputs=4),
}


def transforms(
    points: Sequence[float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T [m + 2, m + 2], A [m + 2, m] and G [m + 2, 3] of m + 1 points and infinity.

    With y[i] = sum over j of x[i + j] k[j], of m values y, y = A^T (G k * B^T x): Cook and
    Toom, turned round as in Winograd 1980 (Arithmetic Complexity of Computations).
    """
    size = len(points) + 1
    of_image = np.zeros((size, size))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        of_image[row, :-1] = np.poly(others)[::-1]
    of_image[-1] = np.poly(points)[::-1]
    values = np.vander(points, size, increasing=True)
    scale = [np.prod([p - q for q in points if q != p]) for p in points]
    of_change, of_kernel = np.zeros((size, size - 2)), np.zeros((size, 3))
    of_change[:-1], of_change[-1, -1] = values[:, : size - 2], 1
    of_kernel[:-1], of_kernel[-1, -1] = values[:, :3] / np.array(scale)[:, None], 1
    return of_image, of_change, of_kernel.astype(np.float32)


def _transform_tiles(
    image: Float[Array, "n h w c"], matrix: np.ndarray, step: int
) -> Float[Array, "side side tiles c"]:
    """`matrix` applied along width and height of each tile; tiles are `step` apart."""
    tiles = _combine(_combine(image, matrix, step, axis=2), matrix, step, axis=2)
    return tiles.reshape(*tiles.shape[:2], -1, image.shape[-1])


def _combine(image: Array, matrix: np.ndarray, step: int, axis: int) -> Array:
    """For each row of `matrix`, the sum of the slices `step` apart that it weighs.

    The compiler may not do it again for every use, as it would for the second axis.
    """
    count = (image.shape[axis] - matrix.shape[1]) // step + 1
    slices = [
        jax.lax.slice_in_dim(
            image, start, start + (count - 1) * step + 1, step, axis=axis
        )
        for start in range(matrix.shape[1])
    ]
    sums = [
        functools.reduce(
            jnp.add,
            (
                part if weight == 1 else weight * part
                for weight, part in zip(row.tolist(), slices, strict=True)
                if weight
            ),
        )
        for row in matrix
    ]
    return jax.lax.optimization_barrier(jnp.stack(sums))


def fastest(
    image_shape: Sequence[int], kernel_shape: Sequence[int], dtype: DTypeLike
) -> str:
    """The form that measured fastest for such a layer: "direct" or one of FORMS.

    Rounding to bfloat16 is too coarse for Winograd's differences. The transforms grow with
    the positions and the products with the channels, so many positions for the channels
    favour large tiles.
    """
    channels, features = kernel_shape[-2:]
    if channels == 1 or jnp.dtype(dtype) != jnp.float32:
        return DIRECT
    positions = np.prod(image_shape[:-1]) / np.sqrt(channels * features)
    if positions >= 6:
        return "winograd_4"
    return "winograd_2" if positions >= 2 else DIRECT
