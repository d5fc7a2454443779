"""What tests of whole runs share: stopping one, and comparing two."""

import hashlib
import os
import pathlib
import signal

import jax
import numpy as np
import orbax.checkpoint as ocp

from brainseg_jax.runs import build, checkpoints, records


def fingerprint(workdir):
    """Hash of the last checkpoint's weights and statistics, its step and its record."""
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        number = saved.latest
        record = records.from_json(saved.record(number))
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(_variables(workdir, number)):
        digest.update(jax.tree_util.keystr(path).encode() + leaf.tobytes())
    return digest.hexdigest(), record.step, record


def _variables(workdir, number):
    """A checkpoint's arrays as they are stored, whatever the model."""
    folder = pathlib.Path(workdir) / checkpoints.FOLDER / str(number) / "variables"
    reader = ocp.PyTreeCheckpointer()
    as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
        reader.metadata(folder).item_metadata.tree,
    )
    return reader.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def scores_of(record):
    """History without the times, which differ from run to run."""
    return [
        {key: value for key, value in row.items() if not key.startswith("seconds")}
        for row in record.progress.history
    ]


def stopping(after, number=signal.SIGTERM, part="train_step"):
    """build.make_run, with a signal to this process at the n-th call of a step."""
    prepare = build.make_run

    def prepared(config, folder):
        run, calls = prepare(config, folder), []
        step = getattr(run, part)

        def counted(*arguments):
            calls.append(1)
            if len(calls) == after:
                os.kill(os.getpid(), number)
            return step(*arguments)

        return run.__class__(**{**vars(run), part: counted})

    return prepared
