"""Eight fake CPU devices, strict ranks and shapes, a compile cache, tiny built data."""

import gc
import importlib
import os
import pathlib

from tests import compiling

# On a busy machine eight devices of two cores may wait long for each other; XLA would end
# the process after 40 seconds. The tests compile more than they compute.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    " --xla_cpu_collective_call_terminate_timeout_seconds=600"
    f" {compiling.FASTER}"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("MPLBACKEND", "agg")

import jax
import jaxtyping
import pytest

from datasets import prepare
from datasets.synthetic import phantom
from tests import tiny_config

# Every call of these is checked against its annotations, shapes included. Files that answer
# ill-fitting arrays in words of their own are left out, and those that take NumPy's too.
CHECKED = (
    "models",
    "losses",
    "data.augment",
    "data.intensities",
    "data.volume_moves",
)
jaxtyping.install_import_hook(
    [f"brainseg_jax.{name}" for name in CHECKED],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(compiling.CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", compiling.AT_LEAST)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
# Small nets compile up to five times faster so, and run as fast.
jax.config.update("jax_disable_most_optimizations", True)
# Tracing makes many objects and little garbage: an eighth of the time went into looking.
gc.set_threshold(100_000, 20, 50)
PATIENTS, SLICES = 8, 5
MAPS = pathlib.Path("/proc/self/maps")


@pytest.fixture(scope="module", autouse=True)
def forget_compiled():
    """Each compiled function maps memory, of which a process may have 65,530 pieces.

    At 10,000 of them a process was seen to take up to three gigabytes.
    """
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 10_000:
        jax.clear_caches()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder with a small phantom, built by the real builder from raw files."""
    folder = tmp_path_factory.mktemp("data")
    raw = phantom.write_lgg(folder / "raw", patients=PATIENTS, slices=SLICES)
    prepare.prepare("lgg_mri/phantom", folder, raw)
    return folder


@pytest.fixture(scope="session")
def brats_dir(tmp_path_factory):
    """Heads of 48x48x31 voxels, as many as give eight volumes to train on."""
    folder = tmp_path_factory.mktemp("brats")
    raw = phantom.write_brats2021(folder / "raw", patients=14, step=5.0)
    prepare.prepare("brats2021/phantom", folder / "data", raw)
    return folder / "data"


@pytest.fixture
def config(data_dir):
    """The phantom experiment, cut down to seconds: two epochs of three steps."""
    config = tiny_config.get_config()
    config.data.data_dir = str(data_dir)
    return config


@pytest.fixture(scope="session")
def finished(data_dir, tmp_path_factory):
    """Folder and summary of an uninterrupted run of the tiny config, which none changes."""
    config = tiny_config.get_config()
    config.data.data_dir = str(data_dir)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    train = importlib.import_module("brainseg_jax.modes.train")
    return workdir, train.train(config, str(workdir))


@pytest.fixture
def unscored(monkeypatch):
    """Training ends with its last checkpoint: half of a tiny run's time is its report."""
    train = importlib.import_module("brainseg_jax.modes.train")
    monkeypatch.setattr(train, "_score", lambda *_: None)


@pytest.fixture
def keras():
    """Keras on the JAX backend; it promotes ranks where we do not."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield importlib.import_module("keras")
    jax.config.update("jax_numpy_rank_promotion", "raise")
