"""Our U-Nets on VGG16 and EfficientNetB0 against the same nets built of Keras layers.

Nobody published these forms, so that these nets are what our counts rest on.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import attention_unet, encoder_unet, unet_plus_plus
from tests.fixtures import seeded
from tests.keras_unets import WIDTHS, Drawing, decoded, gated, nested_nodes
from tests.keras_weights import ours, randomise
from tests.test_encoders import ENCODERS, KERAS, draw, give

SIZE = (64, 96)  # not square, so that exchanged axes show
FORMS = {"vgg16": "on VGG16 (ours)", "efficientnet_b0": "on EfficientNetB0 (ours)"}
TAPS = {
    "vgg16": [f"block{block}_conv{2 if block < 3 else 3}" for block in range(1, 6)],
    "efficientnet_b0": [
        *(f"block{block}a_expand_activation" for block in (2, 3, 4, 6)),
        "top_activation",
    ],
}


def application(keras, encoder):
    """Keras's own classifier without its head, on images of 0 to 1.

    Its EfficientNetB0 begins with a division by 255 that ours leaves out.
    """
    keras.utils.clear_session()  # so that no layer's name gets a number
    image = keras.layers.Input((*SIZE, 3))
    if encoder == "efficientnet_b0":
        image = keras.layers.Rescaling(255)(image)
    build = getattr(keras.applications, KERAS[encoder])
    return build(include_top=False, weights=None, input_tensor=image)


def plain_net(keras, image, taps):
    """The image is the finest skip where the encoder's finest tap has half its size."""
    on_half_size = image.shape[1] != taps[0].shape[1]
    drawing = Drawing(keras)
    if on_half_size:
        return drawing.end(image, decoded(drawing, [image, *taps], WIDTHS))
    return drawing.end(image, decoded(drawing, taps, (64, 128, 256, 512)))


def nested_net(keras, image, taps):
    drawing = Drawing(keras, bias=False)
    finest = nested_nodes(drawing, taps)
    return drawing.end(image, full_size(drawing, image, finest))


def gated_net(keras, image, taps):
    drawing = Drawing(keras, bias=False)
    finest = gated(drawing, taps)
    return drawing.end(image, full_size(drawing, image, finest))


def full_size(drawing, image, finest):
    """Upsamples from half the image's size to the full one, without a skip."""
    if finest.shape[1] == image.shape[1]:
        return finest
    finest = drawing.normed(drawing.linear(finest), WIDTHS[0], "full_size.up")
    return drawing.pair(finest, WIDTHS[0], "full_size.block")


def fill(net, base, encoder):
    """Fills Keras's net, `base` in it, with weights far from where they start; ours."""
    randomise(net)
    of_encoder = draw(ENCODERS[encoder](), ".".join, variance=2)
    give(base, of_encoder)
    taken = {variable.path for variable in base.weights}
    variables = ours([v for v in net.weights if v.path not in taken])
    for collection, tree in of_encoder.items():
        variables[collection]["encoder"] = tree
    return variables


@pytest.mark.slow  # full width; decoders and encoders are held to Keras singly
@pytest.mark.parametrize("encoder", FORMS)
@pytest.mark.parametrize(
    "module, build",
    [
        (encoder_unet, plain_net),
        (unet_plus_plus, nested_net),
        (attention_unet, gated_net),
    ],
)
def test_a_net_on_an_encoder_is_that_of_keras_layers(keras, module, build, encoder):
    parameters, shape, outputs, options = module.PUBLISHED[FORMS[encoder]]
    model = module.Model(outputs, **options)
    base = application(keras, encoder)
    taps = [base.get_layer(name).output for name in TAPS[encoder]]
    net = build(keras, base.inputs[0], taps)
    assert net.count_params() == parameters
    assert net.input_shape[-1] == shape[-1]
    image = jnp.asarray(seeded.image(2, *SIZE))
    variables = fill(net, base, encoder)
    expected_shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        lambda leaf: leaf.shape, expected_shapes
    )
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 1e-3 < expected.std() < 1e3
    # The largest deviation measured on a CPU is a tenth of this.
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * expected.std())
