"""Brain tumour segmentation in MRI: prepare data, train, evaluate, predict, benchmark.

    python main.py --config=configs/resunet_lgg.py
    python main.py --mode=prepare --config=configs/resunet_lgg.py    its data set alone
    python main.py --mode=evaluate --workdir=runs/resunet_lgg
    python main.py --mode=predict --workdir=runs/resunet_lgg --inputs=DIR --outputs=DIR
    python main.py --mode=pipeline --classifier=runs/... --segmenter=runs/...   two stages
    python main.py --mode=localise --workdir=runs/...    contours, truth and prediction
    python main.py --mode=explain --workdir=runs/...     Grad-CAM: what a model goes by
    python main.py --mode=similar --workdir=runs/...     stored cases most like an input
    python main.py --mode=postprocess --workdir=runs/...   how predictions are mended
    python main.py --mode=compare --workdir=runs/a,runs/b     on the same patients, paired
    python main.py --mode=crossval --config=configs/resunet_lgg.py   every fold in turn
    python main.py --mode=config --config=configs/resunet_lgg.py     what it changes
    python main.py --mode=models            all models and experiments with their sizes
    python main.py --mode=benchmark         the speed of every model
    python main.py --mode=describe --config=configs/resunet_lgg.py   pictures of its data
    python main.py --mode=audit --config=configs/resunet_lgg.py      leaks between splits
    python main.py --mode=trials --workdir=runs/a --outputs=x.json   a search for a recipe

Any key that a config has can be set on the command line: --config.batch_size=8.
"""

import importlib
import logging as stdlib_logging
import os
import pathlib
import pkgutil
import sys
from types import ModuleType
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

import brainseg_jax.modes
from brainseg_jax import interrupt

PREPARE = "prepare"  # stays here: this file alone knows the builders
MODES = (
    PREPARE,
    *(module.name for module in pkgutil.iter_modules(brainseg_jax.modes.__path__)),
)

NO_WINDOWS = (
    "brainseg_jax does not run on Windows itself; use Linux, macOS or Windows' WSL 2."
)

# Flags that name files or folders of this machine.
WHERE = (
    "workdir",
    "classifier",
    "segmenter",
    "data_dir",
    "outputs",
    "truth",
    "against",
)

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "Experiment, e.g. configs/resunet_lgg.py or ...py:cpu."
)
flags.DEFINE_enum("mode", "train", MODES, "What to do: a file of brainseg_jax/modes.")
flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run; by default runs/<config>[-<argument>]. evaluate, predict, "
    "localise, postprocess, explain, similar: a,b for several as one; compare, trials: "
    "a,b,... for those to compare.",
)
flags.DEFINE_string(
    "classifier", "", "pipeline: folder of the run that tells tumour from none."
)
flags.DEFINE_string("segmenter", "", "pipeline: folder of the run that gives masks.")
flags.DEFINE_integer(
    "least_area", 0, "pipeline: a mask of more pixels than this says tumour."
)
flags.DEFINE_string(
    "split",
    "",
    "evaluate, compare, localise, explain, pipeline: split of the scores; by default the "
    "test split. similar: what is searched; by default the training split.",
)
flags.DEFINE_string(
    "data_name",
    "",
    "evaluate, compare, localise, explain, similar, pipeline: another data set than the "
    "run's own.",
)
flags.DEFINE_string(
    "data_dir",
    "",
    "evaluate, compare, localise, explain, similar, pipeline, audit of a run: where "
    "prepared data lie.",
)
flags.DEFINE_bool(
    "allow_contaminated",
    False,
    "evaluate, pipeline: score patients that were trained on.",
)
flags.DEFINE_multi_string(
    "inputs",
    [],
    "predict, pipeline: image files (pictures, DICOM; for predict NIfTI), folders of them "
    "or patterns. explain, similar: pictures, or scans of a model of volumes, instead of a "
    "split.",
)
flags.DEFINE_string(
    "truth",
    "",
    "predict: folder of true masks, each with its picture's or scan's name.",
)
flags.DEFINE_integer(
    "nearest", 5, "similar: how many patients to show of each input.", lower_bound=1
)
flags.DEFINE_enum(
    "axis",
    "axial",
    ("axial", "coronal", "sagittal"),
    "predict: the slices of a NIfTI volume that a model of slices sees.",
)
flags.DEFINE_list(
    "also",
    [],
    "predict: what else: pages; contours,probabilities of pictures; stl,obj of scans.",
)
flags.DEFINE_string(
    "outputs",
    "",
    "predict, pipeline: folder for masks and overlays; compare, describe, audit, localise, "
    "explain, similar: folder for pictures and tables, by default <mode>/ in the (first) "
    "workdir; benchmark: JSON file for its figures; trials: JSON file to add runs to.",
)
flags.DEFINE_list(
    "models", [], "benchmark without --config: which, as unet,unet3d; by default all."
)
flags.DEFINE_integer(
    "batch",
    0,
    "benchmark without --config: images or volumes at a time; 0: 2 images or 1 volume on "
    "a CPU, 16 or 2 elsewhere.",
)
flags.DEFINE_string(
    "against",
    "",
    "benchmark without --config: JSON file of an earlier one, to compare with.",
)
flags.DEFINE_integer(
    "folds", 0, "crossval: how many of the data set's folds, from the first; 0: all."
)
flags.DEFINE_bool("debug", False, "Show where in the code an error was raised.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    if sys.platform == "win32":
        sys.exit(NO_WINDOWS)
    _use_huge_pages()
    _quiet_logs()
    try:
        _refuse_addresses()
        _set_environment(bool(FLAGS.config and FLAGS.config.deterministic))
        _run(FLAGS.mode)
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


def _refuse_addresses() -> None:
    """Paths are of this machine: "gs://..." would quietly become a folder named gs:."""
    paths = [(f"--{name}", FLAGS[name].value) for name in WHERE]
    paths += [("--inputs", path) for path in FLAGS.inputs]
    if config := FLAGS.config:
        paths += [
            ("--config.data.data_dir", config.data.data_dir),
            ("--config.data.raw_dir", config.data.raw_dir),
            ("--config.init_from", config.init_from),
            ("--config.model.encoder_weights", config.model.encoder_weights),
        ]
    for name, path in paths:
        if "://" in (path or ""):
            raise ValueError(
                f"{name}={path} is an address, but files are read and written on this "
                "machine alone. Give a folder of it, into which a bucket may be mounted."
            )


class Request:
    """What a mode may ask for. What is missing, or may not be given, is a sentence."""

    flags = FLAGS

    @property
    def has_config(self) -> bool:
        return FLAGS.config is not None

    @property
    def config(self) -> ConfigDict:
        """The experiment, with what the command line changes in it."""
        if FLAGS.config is None:
            raise ValueError(
                f"--mode={FLAGS.mode} needs --config=configs/<experiment>.py; {_listed()}"
            )
        return FLAGS.config

    @property
    def workdir(self) -> str:
        """--workdir, or runs/<config>[-<argument>]."""
        if FLAGS.workdir:
            return FLAGS.workdir
        if FLAGS.config is None:
            raise ValueError(f"--mode={FLAGS.mode} needs --workdir=<folder of a run>.")
        filename = config_flags.get_config_filename(FLAGS["config"])
        path, _, argument = filename.partition(":")
        name = pathlib.Path(path).stem
        return str(pathlib.Path("runs") / (f"{name}-{argument}" if argument else name))

    @property
    def outputs(self) -> str:
        """--outputs, or a folder of the mode's name in the workdir, of a,b in the first."""
        first = self.workdir
        if not pathlib.Path(first).is_dir():
            first = first.split(",")[0] or first
        return FLAGS.outputs or str(pathlib.Path(first) / FLAGS.mode)

    def refuse_overrides(self) -> None:
        """For modes in which --config only names the workdir."""
        given = [part for part in sys.argv if part.startswith("--config.")]
        if given:
            raise ValueError(
                f"--mode={FLAGS.mode} goes by the checkpoint's own config; leave out "
                f"{' '.join(given)}."
            )

    def prepare_data(self) -> None:
        """Builds the config's data set unless it is there."""
        options = self.config.data
        _builders().prepare(
            options.name,
            options.data_dir,
            options.raw_dir,
            skip_bad_files=options.skip_bad_files,
            settings=options.folder.to_dict(),
        )

    def describe_data(self) -> dict[str, Any]:
        """What the builder of the config's data set says, prepared or not."""
        return _describe(self.config.data)

    def base_config(self) -> ConfigDict:
        """Every key with its default."""
        return importlib.import_module("configs.base").get_config()

    def experiments(self) -> dict[str, tuple[ConfigDict, dict[str, Any]]]:
        """Every variant of every config, with what its data set's builder says."""
        found = {}
        for path in _experiment_files():
            module = importlib.import_module(f"configs.{path.stem}")
            for variant in module.VARIANTS:
                config = module.get_config(variant)
                name = f"{path.stem}:{variant}" if variant else path.stem
                found[name] = (config, _describe(config.data))
        return found


def _run(mode: str) -> None:
    """Imports the module of the mode, and nothing of the others."""
    request = Request()
    if mode == PREPARE:
        request.prepare_data()
    else:
        importlib.import_module(f"brainseg_jax.modes.{mode}").run(request)


def _describe(options: ConfigDict) -> dict[str, Any]:
    return _builders().describe(
        options.name, options.data_dir, options.raw_dir, options.folder.to_dict()
    )


def _builders() -> ModuleType:
    return importlib.import_module("datasets.prepare")


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
        said = error.args[0] if isinstance(error, KeyError) else error
        sys.exit(
            f"Not understood among {' '.join(given)}: {str(said).replace(chr(10), ' ')}. "
            "Keys that the config has can be set here: configs/base.py lists them with "
            "type and meaning. Other options of a model, loss or normalisation are set in "
            "a config file."
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
    names = [path.stem for path in _experiment_files()]
    return f"there are, in configs/ and with .py: {', '.join(names)}."


def _experiment_files() -> list[pathlib.Path]:
    return sorted(_HERE.glob("configs/[a-z]*_*.py"))


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
