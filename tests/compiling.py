"""How tests compile: small nets in a fourth of the time, and once for all processes."""

import os
import pathlib
import tempfile

FASTER = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
CACHE = pathlib.Path(tempfile.gettempdir()) / "brainseg_jax_test_cache"
AT_LEAST = 0.2  # seconds of what is worth keeping


def environment() -> dict[str, str]:
    """Of a process with one device, as most have it; eight fake ones compile slower."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": FASTER,
        "JAX_COMPILATION_CACHE_DIR": str(CACHE),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(AT_LEAST),
    }
