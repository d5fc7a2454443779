"""Times training: of one experiment on its data, or of every net for images."""

from typing import Any

from brainseg_jax.benchmarks import epoch, nets
from brainseg_jax.runs import checks


def run(request: Any) -> None:
    """--mode=benchmark, with --config or without one."""
    if not request.has_config:
        nets.benchmark_models(batch=request.flags.batch)
        return
    checks.check_settings(request.config)
    request.prepare_data()
    epoch.benchmark(request.config)
