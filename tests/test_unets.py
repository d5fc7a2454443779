"""The U-Nets against the published ones, each built here of Keras layers."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax.models import attention_unet, encoder_unet, unet, unet_plus_plus
from brainseg_jax.models.parts import blocks, resampling
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective
from tests.keras_weights import ours, randomise

WIDTHS = (16, 32, 64, 128, 256)


class Drawing:
    """Keras layers under our names."""

    def __init__(self, keras, *, bias=True, norm=True, epsilon=1e-3):
        self.keras, self.layers, self.bias, self.norm = keras, keras.layers, bias, norm
        self.epsilon = epsilon

    def conv(self, image, features, size, name, bias=True, activation=None):
        return self.layers.Conv2D(
            features,
            size,
            padding="same",
            use_bias=bias,
            activation=activation,
            name=name,
        )(image)

    def normed(self, image, features, name, number=""):
        """3x3 convolution, BatchNorm where there is any, ReLU."""
        place = f"_{number}" if number else ""
        image = self.conv(image, features, 3, f"{name}.conv{place}", self.bias)
        if self.norm:
            image = self.layers.BatchNormalization(
                epsilon=self.epsilon, name=f"{name}.norm{place}"
            )(image)
        return self.layers.ReLU()(image)

    def pair(self, image, features, name, dropout=0.0):
        image = self.normed(image, features, name, 1)
        return self.normed(self.layers.Dropout(dropout)(image), features, name, 2)

    def linear(self, image):
        return self.layers.UpSampling2D(interpolation="bilinear")(image)

    def transposed(self, image, features, name, size=2):
        return self.layers.Conv2DTranspose(
            features, size, strides=2, padding="same", name=f"{name}.transposed"
        )(image)

    def encode(self, image, widths, dropout=(0.0,) * 5):
        skips = []
        for level, features in enumerate(widths, start=1):
            image = self.layers.MaxPool2D()(image) if level > 1 else image
            name = f"encoder.level_{level}"
            image = self.pair(image, features, name, dropout[level - 1])
            skips.append(image)
        return skips

    def join(self, *images):
        return self.layers.Concatenate()(list(images))

    def start(self, channels):
        return self.layers.Input((32, 48, channels))

    def end(self, inputs, image, name="output"):
        return self.keras.Model(inputs, self.conv(image, 1, 1, name))


def vanilla(keras, widths=(64, 128, 256, 512, 1024), dropout=0, **options):
    """U-Nets of system 000, Buda et al. and with dropout: 2x2 transposed convolutions."""
    draw, rates = Drawing(keras, **options), dropout or (0.0,) * 5
    inputs = draw.start(1 if dropout else 3)
    taps = draw.encode(inputs, widths, rates)
    return draw.end(inputs, decoded(draw, taps, widths, rates))


def decoded(draw, taps, widths, rates=(0.0,) * 5):
    """The finest image of a plain decoder, from the taps of an encoder, finest first."""
    *skips, image = taps
    for level in range(len(skips), 0, -1):
        name, features = f"decoder_{level}", widths[level - 1]
        image = draw.transposed(image, features, f"{name}.up")
        image = draw.join(image, skips[level - 1])
        image = draw.pair(image, features, f"{name}.block", rates[level - 1])
    return image


def system_004(keras):
    draw = Drawing(keras, bias=False)
    inputs = draw.start(1)
    *skips, image = draw.encode(inputs, WIDTHS)
    for level in (4, 3, 2, 1):
        name, features = f"decoder_{level}", WIDTHS[level - 1]
        image = draw.normed(draw.linear(image), features, f"{name}.up")
        image = draw.join(image, skips[level - 1])
        image = draw.pair(image, features, f"{name}.block")
    return draw.end(inputs, image)


def adityajn105(keras):
    draw, layers = Drawing(keras, norm=False), keras.layers
    image = inputs = draw.start(1)
    skips = []
    for level, features in enumerate((64, 128, 256, 512), start=1):
        image = draw.pair(image, features, f"encoder.level_{level}")
        skips.append(image)
        name = f"encoder.pooled_{level}_norm"
        image = layers.BatchNormalization(momentum=0.8, name=name)(
            layers.MaxPool2D()(image)
        )
        image = layers.Dropout(0.1)(image)
    image = draw.pair(image, 512, "encoder.level_5")
    for level, features in ((4, 512), (3, 256), (2, 128), (1, 64)):
        image = draw.transposed(image, features, f"decoder_{level}.up", size=3)
        image = layers.Dropout(0.1)(draw.join(image, skips[level - 1]))
        image = draw.pair(image, features, f"decoder_{level}.block")
    return draw.end(inputs, image)


def nested(keras):
    """U-Net++ with its skips, of the blocks of system 004."""
    draw = Drawing(keras, bias=False)
    inputs = draw.start(1)
    return draw.end(inputs, nested_nodes(draw, draw.encode(inputs, WIDTHS)))


def without_skips(keras):
    """System 004's: every node of the decoder alone with what is below."""
    draw = Drawing(keras, bias=False)
    inputs = draw.start(1)
    *_, image = draw.encode(inputs, WIDTHS)
    for row in (4, 3, 2, 1):
        name, features = f"node_{row}_{6 - row}", WIDTHS[row - 1]
        image = draw.normed(draw.linear(image), features, f"{name}.up")
        image = draw.pair(image, features, f"{name}.block")
    return draw.end(inputs, image)


def nested_nodes(draw, taps):
    """The last node of the first row."""
    rows = [[tap] for tap in taps]
    for place in (2, 3, 4, 5):
        for row in range(1, 7 - place):
            name, features = f"node_{row}_{place}", WIDTHS[row - 1]
            image = draw.linear(rows[row][place - 2])
            image = draw.normed(image, features, f"{name}.up")
            image = draw.join(image, *rows[row - 1])
            rows[row - 1].append(draw.pair(image, features, f"{name}.block"))
    return rows[0][-1]


def attention(keras):
    draw = Drawing(keras, bias=False)
    inputs = draw.start(1)
    return draw.end(inputs, gated(draw, draw.encode(inputs, WIDTHS)))


def gated(draw, taps):
    """The finest image of a decoder whose skips go through gates."""
    layers, (*skips, image) = draw.layers, taps
    for level in (4, 3, 2, 1):
        name, features, skip = f"decoder_{level}", WIDTHS[level - 1], skips[level - 1]
        image = draw.linear(image)
        theta = draw.conv(skip, features // 2, 1, f"{name}.gate.theta")
        phi = draw.conv(image, features // 2, 1, f"{name}.gate.phi")
        both = layers.ReLU()(layers.Add()([theta, phi]))
        weights = draw.conv(both, 1, 1, f"{name}.gate.psi", activation="sigmoid")
        image = draw.join(image, layers.Multiply()([skip, weights]))
        image = draw.pair(image, features, f"{name}.block")
    return image


BUDA = (32, 64, 128, 256, 512)
RATES = (0.1, 0.1, 0.2, 0.2, 0.3)
# Module, published form -> Keras's net, trainable parameters.
NETS = {
    (unet, "system 000, reconstructed"): (vanilla, 31_043_521),
    (unet, "system 004"): (system_004, 2_160_129),
    (unet, "system 004, dropout"): (
        lambda keras: vanilla(keras, WIDTHS, norm=False, dropout=RATES),
        1_940_817,
    ),
    (unet, "adityajn105"): (adityajn105, 22_716_609),
    (unet, "Buda et al. 2019"): (
        lambda keras: vanilla(keras, BUDA, bias=False, epsilon=1e-5),
        7_763_041,
    ),
    (unet_plus_plus, "system 004"): (without_skips, 1_964_289),
    (unet_plus_plus, "with its skips (ours)"): (nested, 2_550_561),
    (attention_unet, "system 004"): (attention, 1_996_813),
}


def noise(shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    "module, form",
    [
        pytest.param(*net, marks=[pytest.mark.slow] * (trainable > 5_000_000))
        for net, (_, trainable) in NETS.items()
    ],
)
def test_a_net_is_the_published_one(keras, module, form):
    draw, trainable = NETS[module, form]
    parameters, shape, outputs, options = module.PUBLISHED[form]
    model = module.Model(outputs, **options)
    net = randomise(draw(keras))
    image = noise((2, *net.input_shape[1:]))
    variables = ours(net.weights)
    expected_shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        lambda leaf: leaf.shape, expected_shapes
    )
    assert net.count_params() == parameters
    assert net.input_shape[-1] == shape[-1]
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == trainable
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 0.01 < expected.std() < 100
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    "form, share", [("system 000, reconstructed", 0.01), ("Buda et al. 2019", 0.1)]
)
def test_running_statistics_take_their_librarys_share_of_a_batch(form, share):
    model = unet.Model(1, **{**unet.PUBLISHED[form].options, "widths": (4, 6)})
    image = noise((2, 8, 8, 3))
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    _, seen = model.apply(
        variables,
        image,
        train=True,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=lambda module, _: module.name == "conv_1",
    )
    convolved = seen["intermediates"]["encoder"]["level_1"]["conv_1"]["__call__"][0]
    found = seen["batch_stats"]["encoder"]["level_1"]["norm_1"]["mean"]
    np.testing.assert_allclose(found, share * convolved.mean((0, 1, 2)), atol=1e-6)


def test_dropout_lies_between_the_convolutions_at_the_published_rates():
    model = unet.Model(
        1, widths=(8, 8, 8, 8, 8), norm="none", bias=False, dropout=RATES
    )
    image = noise((2, 64, 64, 1))
    variables = jax.jit(model.init)(jax.random.key(0), image)
    seen = {}

    def watch(convolve, arguments, options, context):
        result = convolve(*arguments, **options)
        seen[context.module.path] = (arguments[0], result)
        return result

    with nn.intercept_methods(watch):
        model.apply(
            variables, image, train=True, keys=jax.random.split(jax.random.key(1))
        )
    blocks = {f"encoder/level_{k}": rate for k, rate in enumerate(RATES, start=1)}
    blocks |= {f"decoder_{k}/block": rate for k, rate in enumerate(RATES[:4], start=1)}
    for block, rate in blocks.items():
        path = tuple(block.split("/"))
        alive = nn.relu(seen[*path, "conv_1"][1])
        kept = seen[*path, "conv_2"][0][alive > 0]
        assert float((kept == 0).mean()) == pytest.approx(rate, abs=0.08), block


def test_nested_heads_come_last_column_first():
    model = unet_plus_plus.Model(2, widths=(4, 6, 8), deep_supervision=True)
    image = noise((2, 16, 16, 3))
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    (finest, second), _ = model.apply(
        variables, image, train=True, mutable=["batch_stats"]
    )
    assert finest.shape == second.shape == (2, 16, 16, 2)
    # The second head hangs on node_1_2 alone: without its kernel it gives its bias.
    params = jax.tree.map(jnp.copy, variables["params"])
    params["output_2"]["kernel"] *= 0
    changed, _ = model.apply(
        {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
    )
    assert (changed[0] == finest).all() and not changed[1].any()
    assert model.apply(variables, image).shape == (2, 16, 16, 2)


@pytest.fixture
def half_size(monkeypatch):
    """A small encoder whose finest tap has half the image's size, in place of any."""

    def encode(model, image, style, keys, title):
        encoder = blocks.Encoder(model.widths, style, name="encoder")
        return encoder(resampling.max_pool(image), keys)

    monkeypatch.setattr(unet_plus_plus.encoders, "take_taps", encode)


def test_statistics_of_the_last_doubling_are_of_the_last_node_alone(half_size):
    plain, deep = (
        unet_plus_plus.Model(1, widths=(4, 6, 8), deep_supervision=deep)
        for deep in (False, True)
    )
    image = noise((2, 16, 32, 3))
    variables = jax.jit(deep.init)(jax.random.key(0, impl="rbg"), image)
    (logits, updated), (expected, of_plain) = (
        model.apply(variables, image, train=True, mutable=["batch_stats"])
        for model in (deep, plain)
    )
    assert [head.shape for head in logits] == [(2, 16, 32, 1), (2, 8, 16, 1)]
    np.testing.assert_array_equal(logits[0], expected)
    jax.tree.map(np.testing.assert_array_equal, updated, of_plain)


def test_heads_of_half_size_learn_where_the_mask_is(half_size):
    model = unet_plus_plus.Model(1, widths=(4, 6, 8), deep_supervision=True)
    image = noise((2, 16, 32, 3))
    inside = jnp.zeros((2, 16, 32, 1), bool).at[:, 4:12, 8:20].set(True)
    batch = {"image": image + 2 * inside, "mask": jnp.where(inside, 255, 0)}
    batch["mask"] = batch["mask"].astype(jnp.uint8)
    task = segmentation.make_task({"tumour": 255}, exclusive=False, threshold=0.5)
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, task)

    def total(params, stats):
        logits, updated = model.apply(
            {"params": params, **stats}, batch["image"], train=True,
            mutable=["batch_stats"],
        )  # fmt: skip
        return loss(logits, batch)[0].mean(), (logits, updated)

    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, stats, opt_state):
        gradient, (logits, stats) = jax.grad(total, has_aux=True)(params, stats)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), stats, opt_state, logits

    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    params, stats = variables["params"], {"batch_stats": variables["batch_stats"]}
    opt_state = optimizer.init(params)
    for _ in range(60):
        params, stats, opt_state, logits = step(params, stats, opt_state)
    # The mask's own edges are at even pixels, so half of its size says where it is.
    for head, target in zip(logits, (inside, inside[:, ::2, ::2]), strict=True):
        assert ((head > 0) == target).mean() > 0.98


def system_000(keras, *, gates):
    """ResNet50-UNet and ResNet50-UANet of system 000, on Keras's own ResNet50."""
    net = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    draw, layers = Drawing(keras), keras.layers
    taps = ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out")
    *skips, image = [net.input, *(net.get_layer(name).output for name in taps)]

    def repeated(skip, kept, times):
        copies = [skip[..., k : k + 1] for k in range(kept) for _ in range(times)]
        return layers.Concatenate()(copies)

    for level, features in ((4, 512), (3, 256), (2, 128), (1, 64)):
        name, skip = f"decoder_{level}", skips[level - 1]
        image = draw.transposed(image, features, f"{name}.up")
        if gates:
            if level == 2:
                skip = repeated(skip, 64, 2)
            if level == 1:  # the image without its last channel
                skip = repeated(skip, 2, 32)
            theta, phi = (
                layers.BatchNormalization(name=f"{name}.gate.{part}_norm")(
                    draw.conv(source, features, 1, f"{name}.gate.{part}")
                )
                for part, source in (("theta", skip), ("phi", image))
            )
            both = layers.ReLU()(layers.Add()([theta, phi]))
            weights = draw.conv(
                both, features, 1, f"{name}.gate.psi", activation="sigmoid"
            )
            skip = layers.Multiply()([skip, weights])
        image = draw.pair(draw.join(image, skip), features, f"{name}.block")
    return draw.end(net.input, image)


def under_encoder(variables):
    """Keras's conv2_block1_1_conv and the like as our encoder/conv2_block1/1_conv."""
    tree = {"params": {}, "batch_stats": {}}
    for name, branch in ((n, b) for n in tree for b in (variables[n],)):
        for layer, weights in branch.items():
            path = re.fullmatch(r"(conv\d_block\d)_(.*)|(conv1_.*)", layer)
            if path is None:
                tree[name][layer] = weights
                continue
            encoder = tree[name].setdefault("encoder", {})
            if path[1]:
                encoder.setdefault(path[1], {})[path[2]] = weights
            else:
                encoder[layer] = weights
    return tree


@pytest.mark.slow  # full width
@pytest.mark.parametrize(
    "gates, form", [(False, "UNet, reconstructed"), (True, "UANet")]
)
def test_a_net_on_resnet50_is_the_published_one(keras, gates, form):
    parameters, _, outputs, options = encoder_unet.PUBLISHED[
        f"system 000, ResNet50-{form}"
    ]
    model = encoder_unet.Model(outputs, **options)
    net = randomise(system_000(keras, gates=gates))
    assert net.count_params() == parameters
    image = jax.nn.sigmoid(noise((2, 64, 64, 3)))
    variables = under_encoder(ours(net.weights))
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 1e-3 < expected.std() < 1e3
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    "model, message",
    [
        (encoder_unet.Model(1, stages=1), "^stages is 1; it can be 2"),
        (
            encoder_unet.Model(1, widths=(4, 8)),
            "^widths is .*has 4 levels .* give one per level",
        ),
        (encoder_unet.Model(1, encoder="resnet"), "^encoder is 'resnet'"),
        (encoder_unet.Model(1, encoder=""), "encoder is ''; it can be efficientnet_b0"),
        (unet.Model(1, widths=()), "^widths is empty, which leaves U-Net no levels"),
        (
            unet_plus_plus.Model(1, encoder="vgg16", widths=(4, 8)),
            "has 4 decoders on vgg16",
        ),
        (
            attention_unet.Model(1, encoder="vgg16", widths=(4,) * 6),
            "has 4 decoders on vgg16",
        ),
        (
            unet_plus_plus.Model(1, skips=False, deep_supervision=True),
            "deep_supervision needs skips",
        ),
        (attention_unet.Model(1, variant="keras"), "variant is 'keras'.*encoder too"),
        (unet_plus_plus.Model(1, preprocessing="caffe"), "preprocessing is 'caffe'"),
        (
            attention_unet.Model(1, encoder="vgg16", variant="torchvision"),
            "vgg16 has no variants",
        ),
    ],
)
def test_options_that_do_not_fit_an_encoder_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
