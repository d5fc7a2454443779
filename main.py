"""Brain tumour segmentation in MRI: prepare data, train, evaluate, predict, benchmark.

    python main.py --config=configs/resunet_lgg.py
    python main.py --mode=evaluate --workdir=runs/resunet_lgg
    python main.py --mode=predict --workdir=runs/resunet_lgg --inputs=DIR --outputs=DIR
    python main.py --mode=config --config=configs/resunet_lgg.py     what it changes
    python main.py --mode=models            all models and experiments with their sizes
    python main.py --mode=benchmark         the speed of every 2D model

Any key of a config can be set on the command line: --config.batch_size=8.
"""

import importlib
import logging as stdlib_logging
import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from brainseg_jax import interrupt

MODES = ("train", "prepare", "evaluate", "predict", "benchmark", "models", "config")

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "Experiment, e.g. configs/resunet_lgg.py or ...py:cpu."
)
flags.DEFINE_enum("mode", "train", MODES, "What to do.")
flags.DEFINE_string(
    "workdir", None, "Folder of the run; by default runs/<config>[-<argument>]."
)
flags.DEFINE_string("split", "", "evaluate: split to score; by default the test split.")
flags.DEFINE_string("data_name", "", "evaluate: another data set than the run's own.")
flags.DEFINE_string("data_dir", "", "evaluate: where prepared data sets lie now.")
flags.DEFINE_bool(
    "allow_contaminated", False, "evaluate: score patients that were trained on."
)
flags.DEFINE_multi_string("inputs", [], "predict: image files or folders of them.")
flags.DEFINE_string("outputs", "", "predict: folder for masks and overlays.")
flags.DEFINE_integer(
    "batch", 0, "benchmark without --config: images at a time; 0: 2 on a CPU, else 16."
)
flags.DEFINE_bool("debug", False, "Show where in the code an error was raised.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    if FLAGS.mode in ("train", "evaluate", "benchmark"):
        _use_huge_pages()
    _quiet_logs()
    try:
        _set_environment(bool(FLAGS.config and FLAGS.config.deterministic))
        _dispatch(FLAGS.mode)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    except interrupt.Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.status)
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if FLAGS.debug:
            raise
        print(f"{error} (--debug shows where)", file=sys.stderr)
        sys.exit(1)


def _dispatch(mode: str) -> None:
    """Imports the module of the mode, and nothing of the others."""
    if mode == "benchmark" and FLAGS.config is None:
        importlib.import_module("brainseg_jax.benchmarks.nets").benchmark_models(
            batch=FLAGS.batch
        )
        return
    if mode in ("train", "prepare", "benchmark"):
        config = _config()
        if mode == "train":  # to prepare data may take hours
            importlib.import_module("brainseg_jax.runs.preflight").check(
                config, _workdir()
            )
        importlib.import_module("datasets.prepare").prepare(
            config.data.name,
            config.data.data_dir,
            config.data.raw_dir,
            skip_bad_files=config.data.skip_bad_files,
        )
    if mode == "train":
        importlib.import_module("brainseg_jax.modes.train").train(config, _workdir())
    if mode == "benchmark":
        importlib.import_module("brainseg_jax.modes.benchmark").benchmark(config)
    if mode == "config":
        base = importlib.import_module("configs.base").get_config()
        importlib.import_module("brainseg_jax.modes.config").show(_config(), base)
    if mode == "models":
        importlib.import_module("brainseg_jax.modes.models").show(_experiments())
    if mode in ("evaluate", "predict"):
        _refuse_overrides()
    if mode == "evaluate":
        importlib.import_module("brainseg_jax.modes.evaluate").evaluate(
            _workdir(),
            FLAGS.split,
            data_name=FLAGS.data_name,
            data_dir=FLAGS.data_dir,
            allow_contaminated=FLAGS.allow_contaminated,
        )
    if mode == "predict":
        importlib.import_module("brainseg_jax.modes.predict").predict(
            _workdir(), FLAGS.inputs, FLAGS.outputs
        )


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags; a mistyped name or key is a sentence, not a traceback."""
    try:
        _check_config_file(argv)
        return FLAGS(argv)
    except flags.Error as error:  # what a config raised comes with its traceback
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if "Unknown command line flag 'config." in lines[-1]:
            sys.exit(
                f"{lines[-1]}: a key of an experiment, so --config=configs/<experiment>.py "
                "has to be given too. To evaluate or predict goes by the checkpoint's own."
            )
        sys.exit(f"{lines[-1]} (--help lists the flags)")
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        given = [argument for argument in argv if argument.startswith("--config")]
        sys.exit(
            f"Not understood among {' '.join(given)}: {error}. "
            "configs/base.py lists every key with its type and meaning."
        )


def _check_config_file(argv: list[str]) -> None:
    """Says which configs there are, where the library only says that there is not this."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if argument == "--config" or argument.startswith("--config="):
            given = argument.partition("=")[2] or following
            path = given.partition(":")[0]
            if not pathlib.Path(path).is_file():
                sys.exit(f"There is no config {path!r}; {_listed()}")


def _listed() -> str:
    names = sorted(path.stem for path in _HERE.glob("configs/[a-z]*_*.py"))
    return f"there are, in configs/ and with .py: {', '.join(names)}."


def _config():
    if FLAGS.config is None:
        raise ValueError(
            f"--mode={FLAGS.mode} needs --config=configs/<experiment>.py; {_listed()}"
        )
    return FLAGS.config


def _experiments() -> dict:
    """Every variant of every config, with what its data set has to tell."""
    find_builder = importlib.import_module("datasets.prepare").find_builder
    experiments = {}
    for path in sorted(_HERE.glob("configs/[a-z]*_*.py")):
        module = importlib.import_module(f"configs.{path.stem}")
        for variant in module.VARIANTS:
            config = module.get_config(variant)
            builder = find_builder(config.data.name)[0].Builder
            name = f"{path.stem}:{variant}" if variant else path.stem
            about = (len(builder.CHANNELS), builder.CLASSES, builder.LABELS)
            experiments[name] = (config, *about)
    return experiments


def _refuse_overrides() -> None:
    """Here --config only names the workdir: what counts is in the checkpoint."""
    if given := [argument for argument in sys.argv if argument.startswith("--config.")]:
        raise ValueError(
            f"--mode={FLAGS.mode} goes by the checkpoint's own config; leave out "
            f"{' '.join(given)}."
        )


def _workdir() -> str:
    if FLAGS.workdir:
        return FLAGS.workdir
    if FLAGS.config is None:
        raise ValueError(f"--mode={FLAGS.mode} needs --workdir=<folder of a run>.")
    path, _, argument = config_flags.get_config_filename(FLAGS["config"]).partition(":")
    name = pathlib.Path(path).stem
    return str(pathlib.Path("runs") / (f"{name}-{argument}" if argument else name))


def _use_huge_pages() -> None:
    """Memory in large pages: a quarter less processor time for a training step.

    XLA takes and gives back its buffers at every step on a CPU, and small pages are mapped
    one by one. glibc reads the setting when a process starts, so it starts itself anew.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _quiet_logs() -> None:
    """Our own lines with the time of day; of libraries only their warnings."""
    handler = logging.get_absl_handler()
    handler.setFormatter(
        stdlib_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    )
    handler.addFilter(_is_ours_or_a_warning)
    logging.set_verbosity(logging.INFO)


def _is_ours_or_a_warning(record: stdlib_logging.LogRecord) -> bool:
    path = pathlib.Path(record.pathname)
    if "site-packages" not in path.parts and _HERE in path.parents:
        return True
    # Orbax warns of every checkpoint without a score, and of every reader.
    errors_only = "orbax" in path.parts
    return record.levelno >= (
        stdlib_logging.ERROR if errors_only else stdlib_logging.WARNING
    )


def _set_environment(deterministic: bool) -> None:
    """What has to be set before jax starts."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache / "brainseg_jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # a bad file is named by us
    if deterministic:
        flag = "--xla_gpu_deterministic_ops=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


_HERE = pathlib.Path(__file__).resolve().parent

if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
