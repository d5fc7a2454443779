"""What figures depend on beside the code: device, threads, memory pages, versions."""

import os
import pathlib
import platform
import re
from importlib import metadata
from typing import Any

import jax

PACKAGES = ("brainseg_jax", "jax", "jaxlib", "flax", "torch")


def describe(torch_threads: int | None) -> dict[str, Any]:
    """`torch_threads` is None where PyTorch is not there."""
    return {
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "processor": processor(),
        "jax_threads": usable_processors(),
        "torch_threads": torch_threads,
        "large_pages": "glibc.malloc.hugetlb=1" in os.environ.get("GLIBC_TUNABLES", ""),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    }


def lines(about: dict[str, Any]) -> list[str]:
    """The same in words, as printed below the tables."""
    torch = about["torch_threads"]
    threads = f"JAX may use {about['jax_threads']} processors, " + (
        "PyTorch is not installed" if torch is None else f"PyTorch {torch} threads"
    )
    pages = "large" if about["large_pages"] else "of the usual size"
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items() if v)
    return [
        f"Device: {about['device']} ({about['platform']}); {about['processor']}.",
        f"{threads}; memory pages are {pages}.",
        f"Versions: {versions}.",
    ]


def processor() -> str:
    """The name of the processor's model."""
    table = pathlib.Path("/proc/cpuinfo")
    if table.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", table.read_text(), re.M)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def usable_processors() -> int:
    """Those that this process may run on: XLA has a thread on a CPU for each."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
