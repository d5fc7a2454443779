"""What a config names is checked before anything is trained."""

import pytest

from brainseg_jax.runs import experiment

SHAPE = (1, 16, 16, 3)


def make_model(name, **options):
    return experiment.make_model(name, options, outputs=1, dtype="float32")


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("unet", {"widths": 4}, r"unet is 4; .* a tuple of whole .*like \(64"),
        ("unet", {"widths": (16, 32.5)}, "whole numbers above 0"),
        ("unet", {"widths": (0, 4)}, "whole numbers above 0"),
        ("unet", {"dropout": (0.1, "a")}, "a tuple of numbers"),
        ("unet", {"joined_dropout": None}, "joined_dropout of unet is None"),
        ("unet", {"pooled_momentum": "high"}, "number or None, like None"),
        ("unet", {"bias": "no"}, "True or False"),
        ("encoder_unet", {"stages": "4"}, "stages of encoder_unet is '4'"),
        ("encoder_unet", {"gates": 1}, "True or False"),
        ("cnn", {"pool": 0}, "word or whole number"),
        ("cnn", {"pool": True}, "word or whole number"),
        ("vgg16", {"hidden": (0,)}, "hidden of vgg16"),
        ("unet", {"depth": 4}, "depth"),
    ],
)
def test_an_option_of_another_type_is_refused_with_an_example(name, options, said):
    with pytest.raises(ValueError, match=f"config.model.options.*{said}"):
        make_model(name, **options)


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"widths": (4, 6), "activation": "swish"},
            r"\.activation is 'swish'; it can be",
        ),
        (
            {"widths": (4, 6), "dropout": (0.1,) * 3},
            r"\.dropout is .* one value for all",
        ),
        ({"widths": ()}, r"\.widths is empty"),
        ({"widths": (4, 6), "joined_dropout": 1.5}, ": a dropout of 1.5 .* below 1"),
    ],
)
def test_what_a_model_says_of_an_option_gets_the_options_key(options, said):
    model = make_model("unet", **options)
    with pytest.raises(ValueError, match=f"^config.model.options{said}"):
        experiment.check_model(model, "segmentation", SHAPE, 1.0)


def test_lists_of_a_record_and_whole_numbers_for_rates_are_fine():
    assert make_model("unet", widths=[4, 8]).widths == (4, 8)
    assert make_model("unet", joined_dropout=0, pooled_momentum=None, dropout=(0,))


def test_a_model_of_another_task_is_refused():
    unet = make_model("unet", widths=(4, 6))
    cnn = make_model("cnn", widths=(4,), hidden=(4,))
    experiment.check_model(unet, "segmentation", SHAPE, 1.0)
    experiment.check_model(cnn, "classification", SHAPE, 1.0)
    with pytest.raises(ValueError, match="'classification', but the model gives masks"):
        experiment.check_model(unet, "classification", SHAPE, 1.0)
    with pytest.raises(ValueError, match="'segmentation', but the model gives classes"):
        experiment.check_model(cnn, "segmentation", SHAPE, 1.0)


def test_a_rate_of_an_encoder_that_is_not_there_is_refused():
    cnn = make_model("cnn", widths=(4,), hidden=(4,))
    with pytest.raises(ValueError, match='no part called "encoder"'):
        experiment.check_model(cnn, "classification", SHAPE, 0.5)
