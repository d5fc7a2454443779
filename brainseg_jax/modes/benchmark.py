"""Times training: of one experiment on its data, or of every net."""

from typing import Any

from brainseg_jax.benchmarks import epoch, nets, results
from brainseg_jax.runs import checks


def run(request: Any) -> None:
    """--mode=benchmark, with --config or without one."""
    flags = request.flags
    if not request.has_config:
        nets.benchmark_models(flags.models, flags.batch, flags.outputs, flags.against)
        return
    given = [name for name in ("models", "batch", "against") if flags[name].value]
    if given:
        raise ValueError(
            f"--mode=benchmark with --config times one experiment; leave out "
            f"{', '.join(f'--{name}' for name in given)}, or --config to time the nets."
        )
    results.check_path(flags.outputs)
    checks.check_settings(request.config)
    request.prepare_data()
    epoch.benchmark(request.config, flags.outputs)
