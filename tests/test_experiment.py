"""What a config names is checked before anything is trained."""

import pytest

from brainseg_jax import experiment, tasks

SHAPE = (1, 16, 16, 3)


def make_model(name, **options):
    return experiment.make_model(name, options, outputs=1, dtype="float32")


def test_one_number_for_a_tuple_is_refused_with_an_example():
    with pytest.raises(ValueError, match=r"widths of unet is 4; .* a tuple like \(64"):
        make_model("unet", widths=4)


def test_a_model_of_another_task_is_refused():
    masks = tasks.segmentation({"tumour": 255})
    slices = tasks.classification(("no", "yes"), exclusive=False)
    unet = make_model("unet", widths=(4, 6))
    cnn = make_model("cnn", widths=(4,), hidden=(4,))
    experiment.check_model(unet, masks, SHAPE, 1.0)
    experiment.check_model(cnn, slices, SHAPE, 1.0)
    with pytest.raises(ValueError, match="'classification', but the model gives masks"):
        experiment.check_model(unet, slices, SHAPE, 1.0)
    with pytest.raises(ValueError, match="'segmentation', but the model gives classes"):
        experiment.check_model(cnn, masks, SHAPE, 1.0)


def test_a_rate_of_an_encoder_that_is_not_there_is_refused():
    cnn = make_model("cnn", widths=(4,), hidden=(4,))
    slices = tasks.classification(("no", "yes"), exclusive=False)
    with pytest.raises(ValueError, match='no part called "encoder"'):
        experiment.check_model(cnn, slices, SHAPE, 0.5)
