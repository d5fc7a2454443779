"""main.py as a person runs it: as a process."""

import fnmatch
import json
import pathlib
import signal
import subprocess
import sys
import time
import tomllib
import types

import pytest

import main
from brainseg_jax.benchmarks import epoch
from configs import base
from tests import compiling
from tests.whole_runs import fingerprint, scores_of

ROOT = pathlib.Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny_config.py"


def start(*arguments, **options):
    environment = compiling.environment() | options.get("environment", {})
    return subprocess.Popen(
        [sys.executable, *options.get("python", ()), str(ROOT / "main.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=options.get("cwd", ROOT),
    )


def run(*arguments, **options):
    """Exit status and everything that was printed."""
    process = start(*arguments, **options)
    out, errors = process.communicate(timeout=600)
    return process.returncode, out + errors


def test_help_imports_neither_jax_nor_matplotlib():
    _, printed = run("--help", python=("-X", "importtime"))
    imported = {line.rsplit("|")[-1].strip() for line in printed.splitlines()}
    assert "ml_collections" in imported
    assert not {"jax", "matplotlib", "tensorflow_datasets", "cv2"} & imported
    assert "--workdir" in printed


RESUNET = "--config=configs/resunet_lgg.py"
UNET = "--config=configs/unet_lgg.py"
RESNET = "--config=configs/resnet50_lgg.py"
FROZEN = "--config.model.frozen_up_to=encoder/nope"
THRESHOLD = "--config.evaluation.threshold=0.3"
MISTAKES = [
    ([], "needs --config"),
    ([RESUNET, "--config.batch_sise=4"], "batch_sise"),
    (["--config=configs/nope.py"], "there are, in configs/ and with .py: attention"),
    (["--mode=evaluate", "--config.batch_size=3"], "by the checkpoint's own"),
    (["--mode=fly"], "benchmark"),
    ([UNET, "--workdir=gs://bucket/run"], "is an address"),
    (["--mode=evaluate", RESUNET, THRESHOLD], "leave out"),
    # Before the data are prepared: there are none, and nobody asks for them here.
    ([RESNET], "save it as"),
]
# Answered in the same places as one of those above.
MORE_MISTAKES = [
    ([RESUNET + ":huge"], "cpu, phantom, published"),
    (["--config=configs/unet_lgg"], "resunet_lgg"),
    (["--config=configs/nope.py", "--config.batch_size=3"], "resunet_lgg"),
    ([UNET, "--config.init_from=nope"], "no checkpoint"),
    (["--worckdir=a"], "worckdir"),
    (["--mode=evaluate"], "needs --workdir"),
    (["--mode=crossval"], "--mode=crossval needs --config"),
    (["--mode=describe"], "--mode=describe needs --config"),
    (["--mode=audit"], "--mode=audit needs --config"),
    ([RESUNET, "--mode=audit", "--split=fold_0"], "leave out --split=fold_0"),
    (["--mode=predict", "--workdir=nowhere"], "--inputs"),
    (["--mode=pipeline", "--classifier=nowhere"], "and --segmenter"),
    (["--mode=pipeline", "--classifier=no", "--segmenter=no"], "no checkpoint"),
    (["--mode=evaluate", "--workdir=nowhere"], "no checkpoint"),
    ([RESUNET, "--mode=prepare"], "mateuszbuda/lgg-mri-segmentation"),
    ([RESNET, "--config.epochs=0"], "1 or more"),
    ([UNET, FROZEN], "names 'encoder/nope'"),
    ([UNET, "--config.data.size=(250,250)"], "multiples of 16"),
]


@pytest.mark.parametrize(
    "arguments, said",
    [
        *MISTAKES,
        *(pytest.param(*mistake, marks=pytest.mark.slow) for mistake in MORE_MISTAKES),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(arguments, said, tmp_path):
    configs = [a.replace("configs/", f"{ROOT}/configs/") for a in arguments]
    offline = {"https_proxy": "http://127.0.0.1:1", "KERAS_HOME": str(tmp_path)}
    status, printed = run(*configs, cwd=tmp_path, environment=offline)
    assert status != 0
    assert said in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_settings_are_checked_before_a_device_is_started():
    program = """
from brainseg_jax.runs import checks
from configs import resunet_lgg
checks.check_settings(resunet_lgg.get_config(""))
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_windows_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match="does not run on Windows.*WSL 2"):
        main.main(["main.py"])


@pytest.mark.parametrize("system, factor", [("darwin", 1), ("linux", 1024)])
def test_the_peak_of_memory_is_in_bytes_on_every_system(monkeypatch, system, factor):
    held = types.SimpleNamespace(ru_maxrss=5_000_000)
    monkeypatch.setattr(epoch.resource, "getrusage", lambda who: held)
    monkeypatch.setattr(sys, "platform", system)
    assert epoch.peak_memory() == 5_000_000 * factor


def test_only_names_of_our_own_are_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = [path.parent.name for path in ROOT.glob("*/__init__.py")]
    installed = {
        name for name in packages for one in wanted if fnmatch.fnmatch(name, one)
    }
    assert {"configs", "datasets"} < {*packages}
    assert installed == {"brainseg_jax"}


def test_what_is_not_installed_is_found_beside_main(tmp_path):
    """Also from another folder, and before an installed package of the same name."""
    for name in ("datasets", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('{name}')")
    status, printed = run(
        f"--config={ROOT / 'configs' / 'resunet_lgg.py'}",
        "--mode=prepare",
        cwd=tmp_path,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    # Said by datasets/lgg_mri, which has no raw data here.
    assert status == 1 and "mateuszbuda/lgg-mri-segmentation" in printed


@pytest.mark.parametrize("name", ["workdir", "data_dir", "outputs"])
def test_an_address_is_refused_where_a_folder_is_wanted(monkeypatch, name):
    monkeypatch.setattr(main.FLAGS[name], "value", "gs://bucket/folder")
    main.FLAGS.mark_as_parsed()
    with pytest.raises(ValueError, match=f"^--{name}=gs://bucket/folder is an address"):
        main._refuse_addresses()


def test_of_several_runs_results_lie_in_the_first_ones_folder(monkeypatch, tmp_path):
    main.FLAGS.mark_as_parsed()
    monkeypatch.setattr(main.FLAGS["mode"], "value", "explain")
    both = tmp_path / "a,b"
    for named, place in ((both, tmp_path / "a"), (tmp_path / "c", tmp_path / "c")):
        monkeypatch.setattr(main.FLAGS["workdir"], "value", str(named))
        assert main.Request().outputs == str(place / "explain")
    both.mkdir()  # a folder whose own name has a comma
    monkeypatch.setattr(main.FLAGS["workdir"], "value", str(both))
    assert main.Request().outputs == str(both / "explain")


@pytest.mark.parametrize("key", ["data.data_dir", "data.raw_dir", "init_from"])
def test_an_address_in_a_config_is_refused(monkeypatch, key):
    config = base.get_config()
    config.update_from_flattened_dict({key: "s3://bucket"})
    monkeypatch.setattr(main.FLAGS["config"], "value", config)
    main.FLAGS.mark_as_parsed()
    with pytest.raises(ValueError, match=f"--config.{key}=s3://bucket is an address"):
        main._refuse_addresses()


def wait_for(path, seconds=300):
    start_time = time.time()
    while not any(path.parent.glob(path.name)):
        assert time.time() - start_time < seconds, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_runs_go_on_bit_for_bit(data_dir, tmp_path):
    """SIGKILL at several points, then SIGTERM; weights equal an uninterrupted run's."""
    common = [
        f"--config={TINY}",
        f"--config.data.data_dir={data_dir}",
        "--config.epochs=3",
        "--config.checkpoint.every_steps=2",
    ]
    status, printed = run(*common, f"--workdir={tmp_path / 'whole'}")
    assert status == 0, printed

    workdir = tmp_path / "killed"
    command = [*common, f"--workdir={workdir}"]
    # While writing the first checkpoint, after it, and after the second epoch.
    for sign, delay in (("*.orbax*", 0.0), ("1", 0.05), ("4", 0.0)):
        process = start(*command)
        wait_for(workdir / "checkpoints" / sign)
        time.sleep(delay)
        process.kill()
        process.communicate()
    process = start(*command)
    process.stderr.readline()  # the data are being opened: it listens to signals
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode in (0, 143)
    status, printed = run(*command)
    assert status == 0, printed

    expected, step, record = fingerprint(tmp_path / "whole")
    found, found_step, found_record = fingerprint(workdir)
    assert (found, found_step) == (expected, step)
    assert scores_of(found_record) == scores_of(record)


@pytest.mark.slow
def test_a_classifier_trains_and_predicts_as_processes(data_dir, tmp_path):
    config = ROOT / "tests" / "tiny_classifier.py"
    workdir = f"--workdir={tmp_path / 'run'}"
    status, printed = run(
        f"--config={config}", f"--config.data.data_dir={data_dir}", workdir
    )
    assert status == 0, printed
    assert "PHANTOM" in printed and "ROC-AUC over slices" in printed
    assert "patient balanced accuracy" in printed  # of every epoch
    raw = next(path for path in (data_dir / "raw").rglob("TCGA_*") if path.is_dir())
    outputs = tmp_path / "out"
    status, printed = run(
        "--mode=predict", workdir, f"--inputs={raw}", f"--outputs={outputs}"
    )
    assert status == 0, printed
    rows = (outputs / "predictions.csv").read_text().splitlines()
    assert len(rows) == 6 and "probability_tumour" in rows[0]


@pytest.mark.slow
def test_train_evaluate_and_predict_as_processes(data_dir, tmp_path):
    status, printed = run(
        f"--config={TINY}", f"--config.data.data_dir={data_dir}", cwd=tmp_path
    )
    assert status == 0, printed
    workdir = f"--workdir={tmp_path / 'runs' / 'tiny_config'}"
    assert "PHANTOM" in printed and "mean Dice over" in printed
    assert "read only" not in printed and "tracked_metric" not in printed
    status, printed = run("--mode=evaluate", workdir, "--split=fold_1")
    assert status == 0, printed
    raw = next(path for path in (data_dir / "raw").rglob("TCGA_*") if path.is_dir())
    outputs = tmp_path / "masks"
    status, printed = run(
        "--mode=predict", workdir, f"--inputs={raw}", f"--outputs={outputs}"
    )
    assert status == 0, printed
    assert len(list(outputs.glob("*_mask.tif"))) == 5
    speed = tmp_path / "speed.json"
    status, printed = run(
        "--mode=benchmark",
        f"--config={TINY}",
        f"--config.data.data_dir={data_dir}",
        f"--outputs={speed}",
    )
    assert status == 0, printed
    assert "real_over_constant" in json.loads(speed.read_text())["figures"]
    assert "real over constant" in printed
