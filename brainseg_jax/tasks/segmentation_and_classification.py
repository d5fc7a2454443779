"""Both at once: a mask, and a class of the whole image, by a net with a head for each."""

from collections.abc import Sequence

from jaxtyping import Array

from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks import classification, segmentation
from brainseg_jax.tasks.parts.task import Batch, Task

NAMED_BY = ("classes", "labels")


def make_task(
    classes: segmentation.Classes,
    labels: Sequence[str],
    *,
    exclusive: bool,
    threshold: float,
    painting: segmentation.Painting = (),
) -> Task:
    """The task of segmenting `classes` and telling which of `labels` an image has.

    `exclusive` is of the masks; the labels, of which an image has one, share a softmax.
    `threshold` is of the masks' sigmoids, and of the second of two labels.

    Raises:
        ValueError: as segmentation.make_task.
    """
    tasks = Heads(
        mask=segmentation.make_task(
            classes, exclusive=exclusive, threshold=threshold, painting=painting
        ),
        label=classification.make_task(labels, exclusive=True, threshold=threshold),
    )

    def measure(probs: Heads, batch: Batch) -> Heads:
        return tasks.map(lambda task, own: task.measure(own, batch), probs)

    def unflip(probs: Heads, axes: tuple[int, ...]) -> Heads:
        return tasks.map(lambda task, own: task.unflip(own, axes), probs)

    def resize(outputs: Heads, grid: tuple[int, ...]) -> Heads:
        return tasks.map(lambda task, own: task.resize(own, grid), outputs)

    return Task(
        name="segmentation_and_classification",
        classes=tasks.map(lambda task: task.classes),
        uses_masks=True,
        outputs=tasks.map(lambda task: task.outputs),
        exclusive=tasks.map(lambda task: task.exclusive),
        target=lambda batch: tasks.map(lambda task: task.target(batch)),
        probabilities=lambda logits: tasks.map(_probabilities, logits),
        unflip=unflip,
        resize=resize,
        predict=lambda probs: tasks.map(lambda task, own: task.predict(own), probs),
        measure=measure,
        heads=tasks,
    )


def _probabilities(task: Task, logits: Array) -> Array:
    return task.probabilities(logits)
