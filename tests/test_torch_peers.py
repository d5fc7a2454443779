"""The nets in PyTorch are those that they are timed beside; where PyTorch is installed."""

import functools
import importlib
import importlib.util

import jax
import jax.numpy as jnp
import pytest

from brainseg_jax.benchmarks import epoch, forms, timing
from brainseg_jax.models import residual_unet3d
from configs import base
from tests import tiny_volumes

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="pip install torch"
)
# Models of which every form has a peer, and others by form.
WHOLE = (
    *("cnn", "fcn3d", "residual_unet3d", "resnet50", "resunet"),
    *("unet", "unet3d", "vgg16"),
)
SOME = {
    "attention_unet": ["system 004"],
    "encoder_unet": ["system 000, ResNet50-UNet, reconstructed"],
    "unet_plus_plus": ["system 004", "with its skips (ours)"],
}


def build(form):
    nets = importlib.import_module("brainseg_jax.benchmarks.torch_nets")
    return nets.build(form.model, form.net, form.shape)


@pytest.mark.parametrize("name", [*WHOLE, *SOME])
def test_a_peer_has_our_parameters_and_the_shape_of_our_output(name):
    torch = importlib.import_module("torch")
    compared = []
    for form in forms.chosen([name], batch=1):
        if (net := build(form)) is None:
            continue
        compared.append(form.form)
        sizes = [param.numel() for param in net.parameters() if param.requires_grad]
        assert sum(sizes) == forms.parameters(form), form.form
        n, *space, channels = form.shape
        with torch.inference_mode():
            theirs = net.eval()(torch.zeros(n, channels, *space))
        ours = forms.output_shape(form)
        assert (n, *theirs.shape[2:], theirs.shape[1]) == ours, form.form
    expected = [form.form for form in forms.chosen([name], batch=1)]
    assert compared == SOME.get(name, expected)


def test_a_peer_is_deeply_supervised_and_normalised_by_instance_as_ours_is():
    torch = importlib.import_module("torch")
    nets = importlib.import_module("brainseg_jax.benchmarks.torch_nets")
    options = {"widths": (4, 6, 8, 8), "repeats": (1,), "deep_supervision": True}
    model, shape = residual_unet3d.Model(3, **options), (1, 16, 16, 16, 4)
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    apply = functools.partial(model.apply, train=True)
    ours = jax.eval_shape(apply, variables, image)
    net = nets.build("residual_unet3d", model, shape).train()
    theirs = net(torch.zeros(1, 4, 16, 16, 16))
    sizes = [(1, *one.shape[2:], one.shape[1]) for one in theirs]
    assert sizes == [one.shape for one in ours] and len(sizes) == 2
    count = sum(param.numel() for param in net.parameters())
    assert count == sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert net.eval()(torch.zeros(1, 4, 16, 16, 16)).shape == theirs[0].shape
    grouped = residual_unet3d.Model(3, **options, norm="group")
    assert nets.build("residual_unet3d", grouped, shape) is None


def test_a_loss_is_the_same_on_both_sides():
    torch = importlib.import_module("torch")
    ours = importlib.import_module("brainseg_jax.benchmarks.jax_steps").loss
    theirs = importlib.import_module("brainseg_jax.benchmarks.torch_steps").loss
    for shape in ((2, 4, 4, 3), (2, 4, 4, 4, 2), (2, 1)):
        logits = jax.random.normal(jax.random.key(0), shape)
        target = jax.random.bernoulli(jax.random.key(1), 0.5, shape).astype(jnp.float32)
        first = (0, len(shape) - 1, *range(1, len(shape) - 1))
        given = (torch.tensor(one.tolist()).permute(first) for one in (logits, target))
        assert float(theirs(*given)) == pytest.approx(float(ours(logits, target)), 1e-5)


def test_both_layouts_can_be_repeated():
    steps = importlib.import_module("brainseg_jax.benchmarks.torch_steps")
    (form,) = forms.chosen(["cnn"], batch=1)
    small = form.net.clone(widths=(4,), hidden=(4,))
    tasks = steps.steps_of("cnn", small, (1, 16, 16, 3))
    assert list(tasks) == [
        "PyTorch forward", "PyTorch training",
        "channels last forward", "channels last training",
    ]  # fmt: skip
    assert timing.take_turns(tasks, 0.0).keys() == tasks.keys()


@pytest.mark.slow
def test_an_experiment_on_volumes_is_timed_beside_its_peer(tmp_path, monkeypatch):
    config = base.get_config()
    with config.unlocked():
        config.data.update(
            name=tiny_volumes.build(tmp_path), data_dir=str(tmp_path), test="",
            train="fold_0", validation="fold_1", size=(4, 8, 8), patch=(4, 8, 8),
        )  # fmt: skip
        config.evaluation.window = (4, 8, 8)
        config.model.name, config.batch_size = "residual_unet3d", 2
        config.model.options = {
            "widths": (4, 6, 8), "repeats": (1,), "deep_supervision": True,
        }  # fmt: skip
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    monkeypatch.setattr(epoch, "SECONDS", 0.0)
    figures = epoch.benchmark(config)
    assert {"step_ms_JAX", "step_ms_PyTorch", "step_ms_channels last"} < figures.keys()
    assert 0 <= figures["share_of_time_in_data"] < 1
