"""Every key there is, each with its default. An experiment is this and what it changes."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0  # weights, data order, augmentation and dropout all come from it
    config.batch_size = 16  # examples per step over all devices together
    # Parts that a step sees its batch in, one after the other: less memory, the same step.
    # Of nets without batch normalisation only
    config.accumulate = 1
    config.epochs = 100
    # Bit-identical runs on a GPU too, at some cost in speed
    config.deterministic = False

    task = config.task = ConfigDict()
    # segmentation | classification, of slices | segmentation_and_classification, by one
    # net with two heads: models of the name two_headed_...
    task.name = "segmentation"
    # True: one softmax over all classes. False: a sigmoid for each class, but a single one
    # where slices are of two classes. With two heads: of the masks
    task.exclusive = False
    # "": every class of the data set's masks by itself. A name, like "tumour": all of them
    # together are the one class of that name.
    task.foreground = ""
    # What the net has a map for. classes: each class that is scored, which may be regions
    # within each other, like BraTS's. labels: each label of the masks, all in one softmax
    # (task.exclusive=True); the same classes are scored
    task.targets = "classes"

    data = config.data = ConfigDict()
    # <data set>/<variant>, a folder of data_dir once prepared
    data.name = "lgg_mri/kaggle"
    data.data_dir = "data"  # where prepared data sets lie
    # The publisher's folder, its parent or the zip; needed to prepare only
    data.raw_dir = ""
    data.train = "fold_0+fold_1+fold_2"
    data.validation = "fold_3"  # chooses the epoch; "": the last one is kept
    data.test = "fold_4"
    data.size = (256, 256)  # the model's input; masks are scored at their stored size
    # Which channels of the data set, by name and in this order; (): all as stored
    data.channels = ()
    # Slices before and after each that the model sees as further channels (2.5D)
    data.neighbours = 0
    # Train on parts of this size, of examples as they are stored; (): on whole ones.
    # data.size is then the stored size: whole examples are scored at the same scale
    data.patch = ()
    # unit | image_standard | volume_percentile | volume_unit | brain_percentile (of what
    # is not 0: volumes without their skull), with its options:
    # brainseg_jax/data/normalise.py
    data.normalisation = ConfigDict({"name": "volume_percentile"})
    # What pictures of your own are like, data.name="folder/<a name of yours>"; needed to
    # prepare only: docs/own_data.md
    folder = data.folder = ConfigDict()
    # pairs (image and mask) | classes (a folder for each) | nnunet (its dataset.json says
    # the rest, but for the patient)
    folder.layout = "pairs"
    folder.images = "images"  # pairs: folder of raw_dir with the images; "" for raw_dir
    folder.masks = (
        "masks"  # and that of the masks; may be the same, if a suffix differs
    )
    folder.image_suffix = ""  # pairs: what images' names end in, before .png
    folder.mask_suffix = ""  # and masks' names
    folder.channels = ("grey",)  # what to call them: as many as the pictures have
    # pairs: each class by its label in masks, 1 to 255, or by its colour, (255, 0, 0)
    folder.classes = ConfigDict({"tumour": 255})
    folder.labels = ()  # classes: which folders, in this order; (): all, by name
    # Whose a picture is: one of these three. A regular expression with a group
    # (?P<patient>...), searched in a picture's path without its ending
    folder.patient = ""
    folder.table = ""  # a CSV, among the raw files or elsewhere
    folder.table_columns = ("file", "patient")
    folder.one_patient_per_file = False  # all tables and reports then say so
    # mm between slices, rows and columns, if all pictures of each patient, by their names,
    # are the slices of one scan without a gap; (): not known
    folder.spacing = ()
    # One of device | host | none: where the training split lies, decoded
    data.cache = "device"
    # While preparing: skip unreadable raw files and list them
    data.skip_bad_files = False
    data.only_tumour = False  # use the slices with tumour alone
    # Share of tumour slices, or of patches around tumour, of those drawn; 0: as they come
    data.tumour_share = 0.0

    model = config.model = ConfigDict()
    model.name = "resunet"  # a module of brainseg_jax/models
    model.options = ConfigDict()  # arguments of that module's Model
    # Compute each stage again in the backward pass instead of keeping it: less memory
    model.remat = False
    # Published weights for the encoder to start from: "imagenet", or the path of a
    # file: docs/pretrained.md. Images then have to be 0 to 1 ("unit" or "volume_unit").
    model.encoder_weights = ""
    # Parts that do not train: names from the parameters, "encoder" or "encoder/block1"
    model.frozen = ()
    # A part: it and all that comes before it do not train; "" for none
    model.frozen_up_to = ""
    # Or bfloat16: activations only, weights stay float32
    config.compute_dtype = "float32"
    # Of convolutions and matrix products of float32 numbers: default (the fastest: TF32 on
    # recent GPUs, one pass of bfloat16 on TPUs), high (TF32, three passes) or highest
    # (float32)
    config.matmul_precision = "default"
    config.init_from = ""  # a workdir whose best weights to start from
    # Its kernels go to the channels of the same names, and all of ours have to be known
    # there. mean: unknown ones start from the mean of its kernels; fresh: all that reads
    # the image starts fresh, and the normalisation may be another.
    config.init_channels = "match"  # or mean, fresh

    # Weighted sum of losses: <module of brainseg_jax/losses> = dict(weight=..., options).
    # With two heads: of the masks; all weights are of one sum.
    config.losses = ConfigDict({"focal_tversky": {"weight": 1.0}})
    # With two heads: of the classes of slices, in the same way; else empty
    config.label_losses = ConfigDict()

    optimizer = config.optimizer = ConfigDict()
    # adam | adamw | keras_adam (eps outside the bias correction)
    optimizer.name = "adamw"
    optimizer.b1 = 0.9
    optimizer.b2 = 0.999
    optimizer.eps = 1e-8
    optimizer.weight_decay = 1e-4  # adamw only; kernels alone, no biases or norms
    optimizer.clip = 1.0  # largest global gradient norm; 0: no clipping
    optimizer.encoder_rate = 1.0  # the encoder's rate as a share of the others'

    schedule = config.schedule = ConfigDict()
    schedule.name = "cosine"  # constant | cosine | step | plateau
    schedule.rate = 1e-3
    schedule.warmup_steps = 0
    schedule.final = 0.0  # cosine: last rate as a share of the first
    # cosine: epochs after which it begins anew; the weights at the end of each such cycle
    # are kept as a snapshot: docs/crossval.md. 0: one cosine over all epochs
    schedule.cycle_epochs = 0
    schedule.step_epochs = 30  # step, plateau: epochs between drops, decays
    schedule.factor = 0.1  # step, plateau: what each drop multiplies the rate by
    schedule.min_delta = 0.0  # plateau: the least change that counts as better
    schedule.patience = 5  # plateau: evaluations without a better one before a drop
    schedule.minimum = 0.0  # plateau: drops never take the undecayed rate below this
    # plateau: also multiplies the rate by this every step_epochs; 1: does not
    schedule.decay = 1.0

    # Moving average of the weights, evaluated with batch statistics of its own; 0: off
    config.ema_decay = 0.0

    # Sizes are the largest change either way; 0 switches a part off.
    augment = config.augment = ConfigDict()
    augment.probability = 1.0  # of the spatial and of the intensity part, per example
    augment.flip_horizontal = 0.5  # probabilities
    augment.flip_vertical = 0.0
    augment.flip_depth = 0.0  # of volumes
    augment.rotation = 15.0  # degrees; of volumes about each of the three axes
    augment.shift = 0.05  # of the image's size
    augment.scale = 0.1  # 0.1: from 0.9 to 1.1
    augment.shear = 0.0  # degrees; of slices
    # What lies beyond the edge of image and mask: edge (their border, repeated) or empty
    # (each channel's darkest value, no class)
    augment.fill = "edge"
    # 0.5: seen at a resolution down to half of its own
    augment.low_resolution = 0.0
    augment.gamma = 0.0  # 0.2: exponents from 1/1.2 to 1.2
    augment.contrast = 0.1
    augment.brightness = 0.1  # of the image's standard deviation
    augment.noise = 0.0  # largest standard deviation
    # Probability of each channel to be all 0, as one that a scan lacks; one always stays.
    # Whatever augment.probability is
    augment.channel_dropout = 0.0

    evaluation = config.evaluation = ConfigDict()
    evaluation.every_epochs = 1
    evaluation.batch_size = 16
    # A score of summary.json, or loss; plateau, early stopping and best go by it.
    evaluation.metric = "patient_dice"
    evaluation.mode = "max"  # or min
    # Evaluations without a better one before training ends; 0: never.
    evaluation.patience = 0
    evaluation.threshold = 0.5  # classification: of the last of two classes
    # What masks score that are empty: one | zero | nan, the Dice of two empty ones, or as
    # a challenge has it: brats2021 | brats2023 | brats2026; docs/metrics.md
    evaluation.empty = "one"
    # By which convention --mode=evaluate takes distances between surfaces: max_directed |
    # pooled | area_weighted, or none: not at all; docs/metrics.md
    evaluation.surface_distances = "max_directed"
    # Of the normalised surface distance: mm of volumes, pixels of slices
    evaluation.tolerance = 1.0
    # By which pixels --mode=evaluate says how calibrated masks are: head | all | none;
    # docs/metrics.md
    evaluation.pixel_calibration = "head"
    # Average over mirror images at test time: any of "horizontal", "vertical" and, for
    # volumes, "depth"; () for none
    evaluation.mirror = ()

    # Score and predict examples as they are stored, in windows of this size; (): whole, at
    # data.size
    evaluation.window = ()
    evaluation.overlap = 0.5  # the least share of a window that its neighbour sees, too
    evaluation.window_batch = 1  # windows at a time, rounded up to fill all devices

    config.parallel = ConfigDict({"mode": "pmap"})  # or mesh

    logging = config.logging = ConfigDict()
    logging.every_steps = 20  # fetch the losses from the devices

    checkpoint = config.checkpoint = ConfigDict()
    checkpoint.every_steps = 0  # beside the end of every epoch; 0: there alone

    return config.lock()
