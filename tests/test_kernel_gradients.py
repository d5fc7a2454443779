"""Gradients of 3x3 kernels by the forms that a CPU uses: exact but for rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax.benchmarks import kernels
from brainseg_jax.models import resunet, unet
from brainseg_jax.models.parts import conv3, kernel_gradients


def exact(image, change):
    """The gradient in float64, term by term of its definition."""
    height, width = image.shape[1:3]
    image = np.pad(np.float64(image), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.array(
        [
            [
                np.einsum(
                    "nhwc,nhwf->cf",
                    image[:, a : a + height, b : b + width],
                    np.float64(change),
                )
                for b in range(3)
            ]
            for a in range(3)
        ]
    )


def pair(shape, features, seed=0):
    """An image and the gradient of what a convolution made of it."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=shape).astype(np.float32),
        rng.normal(size=(*shape[:-1], features)).astype(np.float32),
    )


def error(gradient, expected):
    """Largest difference, of the largest value."""
    return np.abs(gradient - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("outputs", kernel_gradients.POINTS)
def test_the_transforms_correlate(outputs):
    of_image, of_change, of_kernel = kernel_gradients.transforms(
        kernel_gradients.POINTS[outputs]
    )
    rng = np.random.default_rng(0)
    values, kernel = rng.normal(size=outputs + 2), rng.normal(size=3)
    computed = of_change.T @ ((of_kernel @ kernel) * (of_image @ values))
    np.testing.assert_allclose(
        computed, np.correlate(values, kernel, "valid"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("form", kernel_gradients.FORMS)
@pytest.mark.parametrize(
    "shape, features",
    [
        ((2, 8, 8, 3), 5),
        ((3, 7, 10, 4), 2),  # sizes that no tile divides
        ((1, 1, 3, 2), 2),
    ],
)
def test_a_form_gives_the_gradient(form, shape, features):
    image, change = pair(shape, features)
    computed = jax.jit(kernel_gradients.FORMS[form])(image, change)
    assert error(computed, exact(image, change)) < 3e-6


@pytest.mark.parametrize("form", kernel_gradients.FORMS)
@pytest.mark.parametrize("part", [64, 500, 1100])  # rows, an image, two images
def test_parts_add_up(form, part, monkeypatch):
    monkeypatch.setattr(kernel_gradients, "PART", part)
    monkeypatch.setattr(kernel_gradients, "ADDED", 1)
    image, change = pair((4, 11, 9, 4), 4)
    computed = jax.jit(kernel_gradients.FORMS[form])(image, change)
    assert error(computed, exact(image, change)) < 3e-6


@pytest.mark.parametrize(
    "n, height, width, expected",
    [
        (2, 256, 256, (1, 32)),  # 32 x 256 x 64 are 2 ** 19
        (6, 64, 64, (2, 64)),  # an image is 2 ** 18, and so two are
        (2, 100, 256, (1, 28)),  # 100 rows in four parts: 25, up to whole tiles
    ],
)
def test_a_part_is_of_the_size_of_a_cache(n, height, width, expected):
    assert kernel_gradients.part_of(n, height, width, 64, 32, 4) == expected


def test_winograd_rounds_little_more_than_the_direct_form():
    image, change = pair((2, 64, 64, 32), 32)
    expected = exact(image, change)
    of_xla = jax.jit(conv3.direct_kernel_gradient)(image, change)
    least = error(of_xla, expected)
    for form in kernel_gradients.FORMS.values():
        assert error(jax.jit(form)(image, change), expected) < 4 * least


@pytest.mark.parametrize(
    "shape, features, dtype, form",
    [
        ((2, 256, 256, 64), 64, "float32", "winograd_4"),
        ((2, 32, 32, 512), 512, "float32", "winograd_2"),  # 2048 / 512 = 4 positions
        ((2, 16, 16, 512), 512, "float32", "direct"),  # 512 / 512 = 1
        ((2, 256, 256, 64), 64, "bfloat16", "direct"),
        ((2, 256, 256, 1), 64, "float32", "direct"),
    ],
)
def test_the_rule_goes_by_positions_for_channels(shape, features, dtype, form):
    kernel = (3, 3, shape[-1], features)
    assert kernel_gradients.fastest(shape, kernel, dtype) == form


def gradients(image, kernel):
    loss = lambda image, kernel: jnp.sin(conv3.conv3(image, kernel)).sum()  # noqa: E731
    return jax.grad(loss, (0, 1))(image, kernel)


@pytest.mark.parametrize("channels, features", [(3, 4), (4, 3)])
@pytest.mark.parametrize("space", [(8, 12), (4, 8, 6)])
def test_a_convolution_has_xlas_values_and_gradients(
    space, channels, features, monkeypatch
):
    rng = np.random.default_rng(0)
    image = jnp.array(rng.normal(size=(2, *space, channels)), jnp.float32)
    shape = (*(3,) * len(space), channels, features)
    kernel = jnp.array(rng.normal(size=shape), jnp.float32)
    expected = jax.lax.conv_general_dilated(
        image,
        kernel,
        (1,) * len(space),
        "SAME",
        dimension_numbers=conv3.dimensions(len(space)),
    )
    np.testing.assert_allclose(
        conv3.conv3(image, kernel), expected, rtol=1e-5, atol=1e-5
    )
    computed = jax.jit(gradients)(image, kernel)
    monkeypatch.setattr(kernel_gradients, "fastest", lambda *_: kernel_gradients.DIRECT)
    for ours, direct in zip(computed, jax.jit(gradients)(image, kernel), strict=True):
        assert error(ours, direct) < 2e-6


@pytest.mark.parametrize(
    "space, width", [((16, 16), 8), ((64, 64), 32), ((8, 8, 8), 8)]
)
def test_a_gpu_runs_xlas_own_convolutions(space, width):
    image = jax.ShapeDtypeStruct((2, *space, width), jnp.float32)
    kernel = jax.ShapeDtypeStruct((*(3,) * len(space), width, width), jnp.float32)
    # A function of its own for each: what was lowered before is remembered.
    texts = {
        platform: jax.jit(lambda *arrays: gradients(*arrays))
        .trace(image, kernel)
        .lower(lowering_platforms=(platform,))
        .as_text()
        for platform in ("cuda", "tpu", "cpu")
    }
    for platform in ("cuda", "tpu"):
        # The convolution and the gradients of both its arguments, and nothing else.
        assert texts[platform].count("stablehlo.convolution") == 3
        assert "dot_general" not in texts[platform]
    assert "dot_general" in texts["cpu"]


def test_another_row_changes_no_value():
    rng = np.random.default_rng(0)
    image = jnp.array(rng.normal(size=(2, 7, 9, 3)), jnp.float32)
    kernel = jnp.array(rng.normal(size=(3, 3, 3, 4)), jnp.float32)
    computed = jax.jit(conv3.with_another_row)(image, kernel)
    assert error(computed, conv3.direct(image, kernel)) < 1e-6


@pytest.mark.parametrize(
    "shape, features, dtype, narrow",
    [
        ((2, 256, 256, 32), 32, "float32", True),  # 256 x 1024 products a row: 2 ** 18
        ((2, 256, 256, 64), 64, "float32", False),  # 2 ** 20
        ((16, 16, 16, 64), 128, "float32", True),  # rows of 16 count as of 32: 2 ** 18
        ((2, 16, 16, 32), 32, "float32", False),  # 2 ** 19 in all
        ((2, 256, 256, 3), 64, "float32", False),
        ((2, 256, 256, 32), 32, "bfloat16", False),
    ],
)
def test_narrow_layers_of_many_positions_take_another_row(
    shape, features, dtype, narrow
):
    assert conv3.is_narrow(shape, (3, 3, shape[-1], features), dtype) == narrow


def test_a_narrow_layer_has_the_gradients_of_xla(monkeypatch):
    rng = np.random.default_rng(0)
    image = jnp.array(rng.normal(size=(1, 6, 5, 4)), jnp.float32)
    kernel = jnp.array(rng.normal(size=(3, 3, 4, 2)), jnp.float32)
    expected = jax.jit(lambda *arrays: gradients(*arrays))(image, kernel)
    monkeypatch.setattr(conv3, "is_narrow", lambda *_: True)
    computed = jax.jit(lambda *arrays: gradients(*arrays))(image, kernel)
    for ours, direct in zip(computed, expected, strict=True):
        assert error(ours, direct) < 2e-6


@pytest.mark.parametrize(
    "model",
    [unet.Model(1, widths=(8, 12)), resunet.Model(1, widths=(8, 12))],
    ids=["unet", "resunet"],
)
def test_five_steps_lose_as_with_direct_gradients(model, monkeypatch):
    image = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
    target = jax.random.bernoulli(jax.random.key(1), 0.3, (2, 16, 16, 1))
    variables = jax.jit(model.init)(jax.random.key(2), image)

    def losses():
        optimizer = optax.sgd(0.1)

        @jax.jit
        def step(variables, state):
            def objective(params):
                logits, updated = model.apply(
                    {**variables, "params": params},
                    image,
                    train=True,
                    mutable=["batch_stats"],
                )
                loss = optax.sigmoid_binary_cross_entropy(logits, target).mean()
                return loss, updated

            (loss, updated), grads = jax.value_and_grad(objective, has_aux=True)(
                variables["params"]
            )
            updates, state = optimizer.update(grads, state)
            params = optax.apply_updates(variables["params"], updates)
            return {"params": params, **updated}, state, loss

        ours, state, seen = variables, optimizer.init(variables["params"]), []
        for _ in range(5):
            ours, state, loss = step(ours, state)
            seen.append(float(loss))
        return seen

    by_rule = losses()
    monkeypatch.setattr(kernel_gradients, "fastest", lambda *_: kernel_gradients.DIRECT)
    np.testing.assert_allclose(by_rule, losses(), rtol=1e-4)
    assert by_rule[-1] < by_rule[0]


def test_the_benchmark_shows_the_forms_their_errors_and_the_choice(monkeypatch):
    monkeypatch.setattr(kernels, "BUDGET", 0.0)
    monkeypatch.setattr(kernels, "LAYERS", ((16, 5, 4),))
    (row,) = kernels.measure()
    assert row["layer"] == "16x16, 5 to 4" and row["chosen"] == "winograd_4"
    forms = ("direct", *kernel_gradients.FORMS)
    assert set(row) == {"layer", "chosen", *forms, *(f"{form} error" for form in forms)}
    # Another gradient would be off by about its own size, 10 ** 7 times as much.
    assert all(0 < float(row[f"{form} error"]) < 30 for form in forms)
