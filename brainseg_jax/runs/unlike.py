"""Whether scans are like what a model was trained on: kept with a run, told of each."""

from typing import Any

from absl import logging

from brainseg_jax.data import profiles, volume_profiles
from brainseg_jax.data.scans import Scan
from brainseg_jax.data.sources import Source
from brainseg_jax.runs import seen_scans
from brainseg_jax.runs.pictures import Unlike
from brainseg_jax.runs.records import About
from brainseg_jax.runs.seen_scans import Slices, Volume


def describe(training: Source) -> dict[str, Any]:
    """What a run's record says of how its training examples look."""
    of = {2: profiles.profile, 3: volume_profiles.profile}[training.info.dimensions]
    return {"profile": of(training)}


def warnings_of(
    scan: Scan,
    seen: Volume | Slices,
    about: About,
    name: str,
    unlike: Unlike | None = None,
) -> tuple[str, ...]:
    """What makes a scan's prediction doubtful, of what is checked; the log says it too.

    `unlike` tells how far it is from training, as the net sees it.
    """
    there = [k for k in range(scan.image.shape[-1]) if k not in scan.missing]
    flat = [
        f"{about.info.channels[k]} is of one value everywhere"
        for k in there
        if scan.image[..., k].min() == scan.image[..., k].max()
    ]
    known = about.data.get("profile")
    found = (
        *flat,
        *(_unlike(scan, seen, known, about) if known else ()),
        *(_far(seen, unlike) if unlike else ()),
    )
    for one in found:
        logging.warning("%s: %s.", name, one)
    return found


def _far(seen: Volume | Slices, unlike: Unlike) -> tuple[str, ...]:
    if isinstance(seen, Volume):
        return unlike([seen.image], [seen.scaling])
    places = profiles.spread(range(len(seen.images)), profiles.SLICES)
    images = [seen.seen(place) for place in places]
    return unlike(images, [seen.scaling[place] for place in places])


def _unlike(
    scan: Scan, seen: Volume | Slices, known: dict[str, Any], about: About
) -> tuple[str, ...]:
    if isinstance(seen, Slices):
        return profiles.unlike(seen.images, known)
    cropped = scan.image[seen_scans.foreground_box(scan.image)]
    return volume_profiles.unlike(cropped, scan.spacing, about.info.channels, known)
