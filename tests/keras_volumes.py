"""The 3D nets built of Keras layers, to compare ours with.

A layer is named after its place in ours. Dropout, which does nothing outside of training,
is left out.
"""


class Keras:
    """The layers that the nets are made of. Kernels start as zeros, to save time."""

    def __init__(self, keras):
        self.layers = keras.layers

    def conv(self, image, features, name, size=3, activation=None, strides=1):
        return self.layers.Conv3D(
            features,
            size,
            strides,
            padding="same",
            activation=activation,
            kernel_initializer="zeros",
            name=name,
        )(image)

    def pair(self, image, features, name, repeats=2):
        for number in range(1, repeats + 1):
            place = f"{name}.conv_{number}"
            image = self.conv(image, features, place, activation="relu")
        return image

    def norm(self, image, name):
        return self.layers.BatchNormalization(name=name)(image)

    def norm_relu(self, image, features, name, number):
        image = self.conv(image, features, f"{name}.conv_{number}")
        return self.layers.ReLU()(self.norm(image, f"{name}.norm_{number}"))

    def pool(self, image):
        return self.layers.MaxPool3D()(image)

    def up(self, image):
        return self.layers.UpSampling3D()(image)

    def transposed(self, image, features, name):
        return self.layers.Conv3DTranspose(
            features, 2, 2, kernel_initializer="zeros", name=f"{name}.transposed"
        )(image)

    def join(self, *images):
        return self.layers.Concatenate()(images)

    def gate(self, image, signal, features, name):
        theta = self.conv(image, features, f"{name}.theta", 1)
        phi = self.conv(signal, features, f"{name}.phi", 1)
        both = self.norm(self.layers.Add()([theta, phi]), f"{name}.norm")
        both = self.layers.ReLU()(both)
        weights = self.conv(both, 1, f"{name}.psi", 1, activation="sigmoid")
        return self.layers.Multiply()([image, weights])

    def prelu(self, image, name):
        return self.layers.PReLU(shared_axes=[1, 2, 3], name=name)(image)


def keras_unet3d(k, image, widths):
    skips = []
    for level, features in enumerate(widths, start=1):
        image = k.pool(image) if skips else image
        image = k.pair(image, features, f"encoder.level_{level}")
        skips.append(image)
    for level in (4, 3, 2, 1):
        image = k.transposed(image, widths[level - 1], f"decoder_{level}.up")
        image = k.join(image, skips[level - 1])
        image = k.pair(image, widths[level - 1], f"decoder_{level}.block")
    return image


def keras_fcn3d(k, image, widths):
    skips = []
    for level in (1, 2, 3, 4):
        image = k.norm_relu(image, widths[level - 1], f"encoder.level_{level}", 1)
        skips.append(image)
        image = k.pool(image)
    image = k.norm_relu(image, widths[4], "encoder.level_5", 1)
    for level in (4, 3, 2, 1):
        image = k.join(k.up(image), skips[level - 1])
        image = k.norm_relu(image, widths[level - 1], f"decoder_{level}", 1)
    return image


def keras_attention(k, image, widths, gated):
    first, second, third, fourth = widths
    conv1 = k.pair(image, first, "encoder.level_1")
    conv2 = k.pair(k.pool(conv1), second, "encoder.level_2")
    conv3 = k.pair(k.pool(conv2), third, "encoder.level_3")
    conv4 = k.pair(k.pool(conv3), fourth, "encoder.level_4")
    if gated == "decoder":
        signal = k.conv(k.pool(conv3), fourth, "signal_3", 1)
        up5 = k.up(k.gate(conv4, signal, fourth // 2, "gate_3"))
    else:
        up5 = k.up(conv4)
        conv3 = k.gate(conv3, up5, third // 2, "gate_3")
    conv5 = k.pair(k.join(up5, conv3), third, "decoder_3")
    if gated == "decoder":
        signal = k.conv(conv5, third, "signal_2", 1)
        up6 = k.up(k.gate(conv5, signal, third // 2, "gate_2"))
    else:
        up6 = k.up(conv5)
        conv2 = k.gate(conv2, up6, second // 2, "gate_2")
    conv6 = k.pair(k.join(up6, conv2), second, "decoder_2")
    return k.pair(k.join(k.up(conv6), conv1), first, "decoder_1")


def keras_segnet3d(k, image, widths):
    for level, repeats in ((1, 2), (2, 2), (3, 3), (4, 3)):
        place = f"encoder_{level}"
        image = k.pool(k.pair(image, widths[level - 1], place, repeats))
    for level, repeats in ((4, 3), (3, 2), (2, 2), (1, 2)):
        place = f"decoder_{level}"
        image = k.pair(k.up(image), widths[level - 1], place, repeats)
    return image


def keras_vnet3d(k, image, widths):
    def stage(image, features, name, repeats):
        start = image if image.shape[-1] == features else k.join(*[image] * 2)
        start = start[..., :features]
        for number in range(1, repeats + 1):
            image = k.conv(image, features, f"{name}.conv_{number}", 5)
            image = k.layers.Add()([image, start]) if number == repeats else image
            image = k.prelu(image, f"{name}.activation_{number}")
        return image

    repeats = (1, 2, 3, 3, 3)
    skips = [stage(image, widths[0], "encoder_1", 1)]
    for level in (2, 3, 4, 5):
        features, place = widths[level - 1], f"down_{level}"
        image = k.conv(skips[-1], features, f"{place}.conv", 2, strides=2)
        image = k.prelu(image, f"{place}.activation")
        skips.append(stage(image, features, f"encoder_{level}", repeats[level - 1]))
    image = skips.pop()
    for level in (4, 3, 2, 1):
        features, place = widths[level - 1], f"up_{level}"
        image = k.transposed(image, features, place)
        image = k.join(k.prelu(image, f"{place}.activation"), skips.pop())
        image = stage(image, 2 * features, f"decoder_{level}", repeats[level - 1])
    return image


TWINS = {
    "unet3d": keras_unet3d,
    "fcn3d": keras_fcn3d,
    "attention_unet3d": lambda *a: keras_attention(*a, "skips"),
    "attention_unet3d, decoder": lambda *a: keras_attention(*a, "decoder"),
    "segnet3d, nearest": keras_segnet3d,
    "vnet3d": keras_vnet3d,
}


def build(keras, name, space, widths, outputs):
    """One of TWINS, for three channels, up to its logits."""
    k = Keras(keras)
    inputs = k.layers.Input((*space, 3))
    image = TWINS[name](k, inputs, widths)
    return keras.Model(inputs, k.conv(image, outputs, "output", 1))
