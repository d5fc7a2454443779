"""What the best model of a run scores on every example of a split, with a bar."""

from rich.progress import track

from brainseg_jax import parallel
from brainseg_jax.data.sources import Source
from brainseg_jax.inference import folding, looking, scoring
from brainseg_jax.inference.looking import Look
from brainseg_jax.inference.pixel_counts import PixelCounts
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.runs import experiment
from brainseg_jax.runs.restore import Restored


def counted_pixels(restored: Restored) -> str:
    """Which pixels tell how calibrated masks are: those of maps that are classes' own."""
    config = restored.record.about.settings
    of_classes = config.task.targets == "classes" and restored.parts.task.uses_masks
    return config.evaluation.pixel_calibration if of_classes else "none"


def score(
    restored: Restored,
    source: Source,
    *,
    look: Look | None = None,
    pixels: str = "none",
    stop: StopRequest | None = None,
) -> scoring.Scored:
    """`pixels` says which are counted by their probability.

    Raises:
        Interrupted: if `stop` asked to.
    """
    config, parts = restored.record.about.settings, restored.parts
    devices = parallel.local_devices(config.parallel.mode)
    fold = parallel.on_one_device(folding.make_fold(parts.model, parts.shape))
    variables = devices.replicate(fold(restored.variables))
    windows = experiment.windows_of(config)
    step = devices.eval_step(
        scoring.make_eval_step(
            parts.model,
            parts.task,
            parts.loss,
            config.evaluation.mirror,
            windows,
            pixels,
        )
    )
    scored = scoring.score_split(
        step,
        variables,
        source,
        task=parts.task,
        devices=devices,
        batch_size=config.evaluation.batch_size,
        windows=windows,
        resident={},
        look=look,
        pixels=PixelCounts(source, pixels) if pixels != "none" else None,
        stop=(lambda: stop.signal is not None) if stop else (lambda: False),
        show=lambda examples, total: track(
            examples, "evaluating", total=total, transient=True
        ),
    )
    if scored is None:
        raise Interrupted(
            "Stopped while scoring; training is finished and saved, and "
            "the same command scores again.",
            stop.status if stop else 1,
        )
    return scored


def look_of(restored: Restored, source: Source) -> Look | None:
    """What is seen of masks beside counts, unless config.evaluation says none."""
    options = restored.record.about.settings.evaluation
    if not restored.parts.task.uses_masks or options.surface_distances == "none":
        return None
    return looking.make_look(
        source,
        convention=options.surface_distances,
        tolerance=options.tolerance,
        empty=options.empty,
    )
