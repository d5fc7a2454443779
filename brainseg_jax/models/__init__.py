"""One file per architecture: the file's name is the model's name in a config.

Each exports `Model(outputs, **options)`, a linen module whose fields are the defaults,
called as `model(image, train=False, keys=None)`; it returns float32 logits,
[n, *space, outputs] for masks and [n, outputs] for classes. Batch normalisation spans
the devices of `axis_name` in training. `keys` [n], one per example, draw the dropout.
`PUBLISHED` names the forms of it that somebody published, or that are "(ours)", with their
parameters. `small(options)` gives the options that make an experiment's model small enough
for a test.
What architectures share, layers and blocks, is in models/parts.
"""
