"""Pairs of small masks, random and at the edges of what masks can be, with spacings."""

import numpy as np

SPACINGS = {
    2: [(1.0, 1.0), (0.5, 0.5), (0.4688, 0.9375), (3.0, 0.25)],
    3: [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (0.9375, 0.9375, 1.5), (0.3, 0.7, 2.0)],
}
SHAPES = {2: [(12, 15), (16, 16), (1, 9)], 3: [(9, 12, 10), (16, 8, 11), (1, 7, 6)]}


def random_pairs(dimensions, count, seed=0):
    """(prediction, truth, spacing): boxes, balls and noise, some of them alike."""
    rng = np.random.default_rng((seed, dimensions))
    for number in range(count):
        shape = SHAPES[dimensions][number % 3]
        spacing = SPACINGS[dimensions][number // 3 % 4]
        pair = [_shape(rng, shape, number // 12 % 3) for _ in range(2)]
        if number % 5 == 0:  # much alike, as a good prediction is
            pair[1] = pair[0] ^ (rng.random(shape) < 0.03)
        yield pair[0], pair[1], spacing


def edge_pairs(dimensions):
    """Every pair of: nothing, everything, one voxel, a corner, a face, all but one."""
    shape = SHAPES[dimensions][0]
    empty = np.zeros(shape, bool)
    voxel, corner, face = empty.copy(), empty.copy(), empty.copy()
    voxel[(4,) * dimensions] = corner[(0,) * dimensions] = face[-1] = True
    masks = [empty, ~empty, voxel, corner, face, ~voxel]
    for place, pred in enumerate(masks):
        for other, truth in enumerate(masks):
            yield pred, truth, SPACINGS[dimensions][(place + other) % 4]


def all_pairs():
    return [
        pair
        for dimensions in (2, 3)
        for pair in [*random_pairs(dimensions, 132), *edge_pairs(dimensions)]
    ]


def _shape(rng, shape, kind):
    if kind == 0:
        return rng.random(shape) < rng.choice([0.05, 0.3, 0.8])
    grid = np.indices(shape)
    middle = [rng.integers(0, size) for size in shape]
    away = np.stack([abs(one - at) for one, at in zip(grid, middle, strict=True)])
    reach = rng.integers(1, 7)
    return away.max(0) < reach if kind == 1 else (away**2).sum(0) < reach**2
