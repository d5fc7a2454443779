"""The published U-Nets, built of Keras layers."""

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
