"""Devices, pmap and mesh: the only file that knows there is more than one device."""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"
MODES = ("pmap", "mesh")
# The setting of jax that asks for the least of all, as tests do.
LEAST = "jax_disable_most_optimizations"

Tree = Any


@dataclasses.dataclass(frozen=True)
class Devices:
    """Some devices and the way a step is spread over them.

    "pmap" maps a step over a leading device axis of the batch: BatchNorm and means need
    `axis_name` and `mean`. "mesh" compiles the step for the global batch and lets the
    compiler divide it: both are then nothing. State goes in and comes out without a
    device axis in either mode, so checkpoints do not depend on the number of devices.
    """

    mode: str
    devices: tuple[jax.Device, ...]

    @property
    def axis_name(self) -> str | None:
        return AXIS if self.mode == "pmap" else None

    @property
    def mean(self) -> Callable[[Tree], Tree]:
        if self.mode == "pmap":
            return functools.partial(jax.lax.pmean, axis_name=AXIS)
        return lambda tree: tree

    @property
    def _mesh(self) -> Mesh:
        # jax.make_mesh gives Explicit axes and pmap's are Auto: the second step would
        # compile again.
        return Mesh(np.array(self.devices), (AXIS,))

    def replicate(self, tree: Tree) -> Tree:
        """The same values on every device; done once, or the second step recompiles."""
        return jax.device_put(tree, NamedSharding(self._mesh, PartitionSpec()))

    def abstract(self, tree: Tree) -> Tree:
        """Shapes as `replicate` would place their values."""
        same, _ = self._shardings()
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=same),
            tree,
        )

    def shard(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """A global batch, its examples divided over the devices in order."""
        count = len(self.devices)
        sharding = NamedSharding(self._mesh, PartitionSpec(AXIS))
        if self.mode == "pmap":
            batch = {
                name: values.reshape(count, len(values) // count, *values.shape[1:])
                for name, values in batch.items()
            }
        return jax.device_put(batch, sharding)

    def train_step(self, step: Callable) -> Callable:
        """Maps (state, resident, batch, rng) -> (state, scalars); the state is donated.

        `resident` lies on every device, `batch` comes from `shard`.
        """
        if self.mode == "pmap":
            return jax.pmap(
                step,
                axis_name=AXIS,
                in_axes=(None, None, 0, None),
                out_axes=None,
                devices=self.devices,
                donate_argnums=0,
            )
        same, split = self._shardings()
        return jax.jit(
            step,
            in_shardings=(same, same, split, same),
            out_shardings=same,
            donate_argnums=0,
        )

    def eval_step(self, step: Callable) -> Callable:
        """Maps (variables, resident, batch) -> values per example, in order."""
        if self.mode == "pmap":
            return jax.pmap(
                step, axis_name=AXIS, in_axes=(None, None, 0), devices=self.devices
            )
        same, split = self._shardings()
        return jax.jit(step, in_shardings=(same, same, split), out_shardings=split)

    def on_all(self, function: Callable) -> Callable:
        """Compiles a function of what lies on every device; its results do, too."""
        same, _ = self._shardings()
        return jax.jit(function, out_shardings=same)

    def gather(self, values: Tree) -> Tree:
        """What `eval_step` gave, on the host, examples along the first axis."""
        fetched = jax.device_get(values)
        if self.mode == "pmap":
            return jax.tree.map(
                lambda array: array.reshape(-1, *array.shape[2:]), fetched
            )
        return fetched

    def free_bytes(self) -> int | None:
        """Memory that each device has left; None where the platform does not say."""
        statistics = self.devices[0].memory_stats()
        if statistics and "bytes_limit" in statistics:
            return statistics["bytes_limit"] - statistics["bytes_in_use"]
        free = free_host_bytes()  # a CPU "device" is the host, and fake ones share it
        return None if free is None else free // len(self.devices)

    def _shardings(self) -> tuple[NamedSharding, NamedSharding]:
        same, split = PartitionSpec(), PartitionSpec(AXIS)
        return NamedSharding(self._mesh, same), NamedSharding(self._mesh, split)


def free_host_bytes() -> int | None:
    """Memory that programs can have without others going short; None where not told."""
    table = pathlib.Path("/proc/meminfo")
    if table.is_file():
        found = re.search(r"^MemAvailable:\s+(\d+) kB", table.read_text(), re.M)
        if found:
            return int(found[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def compiled(lowered: Any) -> Any:
    """Compiles what jax lowered; on a CPU by LLVM's level 1, as fast and sooner ready.

    Its usual level takes up to one and a half times as long for code that runs no faster.
    """
    wanted = jax.default_backend() == "cpu" and not jax.config.values[LEAST]
    return lowered.compile(
        compiler_options={"xla_backend_optimization_level": 1} if wanted else None
    )


def on_one_device(step: Callable, static: Sequence[str] = ()) -> Callable:
    """Compiles a step as it is, for wherever its arguments lie: the host or one device.

    It is compiled anew for other values of the arguments that `static` names.
    """
    return jax.jit(step, static_argnames=tuple(static))


def local_devices(mode: str, batch_size: int | None = None) -> Devices:
    """All devices of this process; ValueError if a batch does not split over them."""
    if mode not in MODES:
        raise ValueError(
            f"config.parallel.mode is {mode!r}; it can be {' or '.join(MODES)}."
        )
    devices = tuple(jax.local_devices())
    if batch_size is not None and batch_size % len(devices):
        raise ValueError(
            f"config.batch_size={batch_size} does not split over {len(devices)} devices; "
            f"use a multiple of {len(devices)}."
        )
    return Devices(mode, devices)
