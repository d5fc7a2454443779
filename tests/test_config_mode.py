"""What --mode=config prints of an experiment."""

from brainseg_jax.modes import config as config_mode
from brainseg_jax.runs import config_changes
from configs import base, resunet_lgg, unet_lgg


def count(tree):
    return sum(
        count(value) if isinstance(value, dict) else 1 for value in tree.values()
    )


def test_base_differs_from_itself_in_nothing():
    different, same = config_changes.compare(base.get_config(), base.get_config())
    assert different == []
    assert same == count(base.get_config().to_dict())


def test_a_changed_key_comes_with_its_default():
    config = base.get_config()
    config.batch_size = 4
    config.data.size = (64, 96)
    different, same = config_changes.compare(config, base.get_config())
    assert different == [
        ("batch_size", "4", "16"),
        ("data.size", "(64, 96)", "(256, 256)"),
    ]
    assert same == count(base.get_config().to_dict()) - 2


def test_options_and_losses_of_one_side_alone_are_listed():
    different, _ = config_changes.compare(
        unet_lgg.get_config("system_004"), base.get_config()
    )
    assert ("model.options.upsampling", "'linear'", "-") in different
    assert ("losses.cross_entropy.weight", "1.0", "-") in different
    assert ("losses.focal_tversky.weight", "-", "1.0") in different


def test_every_key_is_counted_once():
    config, defaults = resunet_lgg.get_config("cpu"), base.get_config()
    different, same = config_changes.compare(config, defaults)
    ours = [row for row in different if row[1] != "-"]
    assert len(ours) + same == count(config.to_dict())


def test_keys_and_values_are_printed_in_full(capsys):
    config = base.get_config()
    config.data.train = "+".join(f"fold_{k}[red]" for k in range(30))
    config_mode.show(config, base.get_config())
    printed = capsys.readouterr().out
    assert "data.train" in printed and config.data.train in printed
    assert "default in base" in printed and "more keys have their default" in printed


def test_an_experiment_that_changes_nothing_has_no_table(capsys):
    config_mode.show(base.get_config(), base.get_config())
    assert capsys.readouterr().out.count("\n") == 1
