"""Both at once: a mask, and a class of the whole image, by a net with a head for each."""

from collections.abc import Callable, Sequence

from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks import classification, segmentation
from brainseg_jax.tasks.parts.task import Task

NAMED_BY = ("classes", "labels")


def make_task(
    classes: segmentation.Classes,
    labels: Sequence[str],
    *,
    exclusive: bool,
    threshold: float,
    painting: segmentation.Painting = (),
    targets: str = "classes",
) -> Task:
    """The task of segmenting `classes` and telling which of `labels` an image has.

    `exclusive` is of the masks; the labels, of which an image has one, share a softmax.
    `threshold` is of the masks' sigmoids, and of the second of two labels.

    Raises:
        ValueError: as segmentation.make_task.
    """
    tasks = Heads(
        mask=segmentation.make_task(
            classes,
            exclusive=exclusive,
            threshold=threshold,
            painting=painting,
            targets=targets,
        ),
        label=classification.make_task(labels, exclusive=True, threshold=threshold),
    )

    def of_each(name: str) -> Callable[..., Heads]:
        """A function of both tasks, each of its own head's outputs."""
        return lambda outputs, *others: tasks.map(
            lambda task, own: getattr(task, name)(own, *others), outputs
        )

    return Task(
        name="segmentation_and_classification",
        classes=tasks.map(lambda task: task.classes),
        uses_masks=True,
        outputs=tasks.map(lambda task: task.outputs),
        exclusive=tasks.map(lambda task: task.exclusive),
        target=lambda batch: tasks.map(lambda task: task.target(batch)),
        probabilities=of_each("probabilities"),
        unflip=of_each("unflip"),
        resize=of_each("resize"),
        predict=of_each("predict"),
        mark=of_each("mark"),
        measure=of_each("measure"),
        heads=tasks,
    )
