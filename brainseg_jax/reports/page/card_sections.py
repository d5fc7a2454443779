"""The sections of a model card that describe: model, data, policies, limits, versions."""

from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.data.info import Info
from brainseg_jax.reports.page.blocks import Alert, Points, Section, Text, facts
from brainseg_jax.reports.parts import intervals, patient_spread

NOT_FOR_DIAGNOSIS = (
    "Not for diagnosis. This is research software: no prediction of it has been checked by "
    "a physician, and none may be used to treat anybody."
)
NOT_CALIBRATED = (
    "How well probabilities are calibrated was not measured: masks are scored at the "
    "threshold."
)
ERRORS = {"ece": "Expected calibration error", "brier": "Brier score"}
FEW = 30  # patients; fewer leave wide intervals


def model(config: Mapping[str, Any], about: Mapping[str, Any], classes: str) -> Section:
    """`about`: parameters, epoch and step of the checkpoint, and how it was taken."""
    options = config["model"]["options"].items()
    said = {
        "Network": config["model"]["name"],
        "Options": ", ".join(f"{name} = {value}" for name, value in options),
        "Parameters": f"{about['parameters']:,}",
        "Task": config["task"]["name"].replace("_", " "),
        "Classes": classes,
        "Input size": " x ".join(map(str, config["data"]["size"])),
        "Slices on either side": config["data"]["neighbours"] or "",
        "Windows": " x ".join(map(str, config["evaluation"]["window"])),
        "Normalisation": config["data"]["normalisation"]["name"],
        "Losses": ", ".join(config["losses"]),
        "Losses of the second head": ", ".join(config["label_losses"]),
        "Epoch": about["taken"],
        "Checkpoint": _checkpoint(about, config["epochs"]),
    }
    return Section("Model", [facts(said)])


def _checkpoint(about: Mapping[str, Any], epochs: int) -> str:
    """The steps of several models, which are by their folders."""
    if isinstance(about["step"], Mapping):
        return f"steps {', '.join(map(str, about['step'].values()))}"
    epoch = f", epoch {about['epoch']} of {epochs}" if about["epoch"] else ""
    return f"step {about['step']}{epoch}"


def data(
    config: Mapping[str, Any],
    said: Mapping[str, Any],
    trained: Info,
    numbers: Mapping[str, int],
    institutions: Mapping[str, int],
) -> Section:
    """`numbers`: of models, of patients trained on, and of those validated on."""
    options = config["data"]
    several = numbers["models"] > 1
    one = "volumes" if said["dimensions"] == 3 else "slices"
    places = (f"{place}: {count}" for place, count in sorted(institutions.items()))
    rows = {
        "Scored on": f"{said['data']}, {said['split']}: {said['patients']} patients, "
        f"{said['slices']} {one}",
        "Patients by institution": ", ".join(places),
        "Trained on": f"{trained.name} {trained.version}, "
        + (
            f"{numbers['models']} models, each tested on a fold of its own"
            if several
            else f"{options['train']}: {numbers['trained']} patients"
        ),
        "Validated on": _validated_on(options["validation"], numbers),
        "Channels": ", ".join(trained.channels),
        "Only slices with tumour": "yes" if options["only_tumour"] else "no",
        "Patients are kept together": "no: the splits are of slices (LEAKY)"
        if "LEAKY" in said["note"]
        else "yes: splits are of whole patients",
    }
    return Section("Data and splits", [facts(rows)])


def _validated_on(validation: str, numbers: Mapping[str, int]) -> str:
    if not validation:
        return "none"
    if numbers["models"] > 1:
        return "another fold for each model"
    return f"{validation}: {numbers['validated']} patients"


def policies(said: Mapping[str, Any]) -> Section:
    """How scores were computed."""
    distances = said.get("surface_distances", {})
    tversky = said.get("tversky", {})
    rows = {
        "Threshold": said.get("threshold", ""),
        "Empty masks": said.get("empty_masks", ""),
        "Undefined scores": f"{said['undefined']}, left out"
        if "undefined" in said
        else "",
        "Mirrored": ", ".join(said["mirrored"]) or "no",
        "Surface distances": distances.get("convention", ""),
        "Distances of a patient": distances.get("of_patient", ""),
        "Tolerance": f"{distances['tolerance']:g} {distances['unit']}"
        if distances
        else "",
        "Tversky": ", ".join(f"{name} {value}" for name, value in tversky.items()),
        "Intervals": "95 %, bootstrap over patients, "
        f"{patient_spread.RESAMPLES:,} draws",
        "Resolution": "the stored mask's own: probabilities are resized before they are "
        "compared with the threshold",
    }
    return Section("Policies", [facts(rows)])


def calibration(summary: Mapping[str, float], said: Mapping[str, Any]) -> Section:
    """Every calibration error and Brier score, or that there is none."""
    found = {}
    for name in summary:
        of_head = name.removeprefix("label_").removeprefix("mask_")
        of_what, _, error = of_head.partition("_")
        if error in ERRORS:
            words = f"{ERRORS[error]} over {of_what}s"
            found[words] = intervals.in_words(summary, name)
    if own := said.get("calibration"):
        errors = own["scores"]
        name = next(name for name in errors if name.endswith("_ece"))
        words = f"Expected calibration error at temperature {own['temperature']:.2f}"
        found[words] = f"{errors[name]:.3f}"
    return Section("Calibration", [facts(found) if found else Text(NOT_CALIBRATED)])


def limits(
    said: Mapping[str, Any], trained: Info, scored: Info, models: int
) -> Section:
    """What the model is for and what nobody has shown of it."""
    lines: Sequence[str | None] = (
        "Intended for research: to compare methods, and to look at what a net sees in "
        "scans like those it was trained on.",
        "The data are synthetic heads: none of these numbers says anything of patients."
        if scored.synthetic
        else None,
        f"It was trained on {trained.name} alone. Other scanners, protocols, ages and "
        "diseases were not tried."
        if trained.name == scored.name
        else f"It was trained on {trained.name} and scored on {scored.name}. Other data "
        "were not tried.",
        f"{said['patients']} patients were scored: other patients may move every score by "
        "as much as its interval is wide."
        if said["patients"] < FEW
        else None,
        "It was made for slices: of a volume it predicts one after the other."
        if scored.dimensions == 2
        else None,
        f"It needs {', '.join(trained.channels)}"
        + (", in this order." if len(trained.channels) > 1 else "."),
        "Its splits are of slices (LEAKY): the model has seen the patients it is scored "
        "on, and scores are too high for new ones."
        if "LEAKY" in said["note"]
        else None,
        "One training: how much another seed would move the scores is not known."
        if models == 1 and "ENSEMBLE" not in said["note"]
        else None,
    )
    points = Points([line for line in lines if line])
    return Section("Intended use and limits", [Alert(NOT_FOR_DIAGNOSIS), points])


def versions(made_by: Mapping[str, Any]) -> Section:
    """Commits, packages and hashes, by which a report can be told from another."""
    hashes = {
        name.removesuffix("_sha256"): value
        for name, value in made_by.items()
        if name.endswith("_sha256")
    }
    environments = {
        "of the training": made_by["trained_with"],
        "of this report": made_by["scored_with"],
    }
    rows: dict[str, Any] = {
        f"SHA-256 of the {name}": value for name, value in hashes.items()
    }
    for when, found in environments.items():
        if not found:
            continue
        rows[f"Commit {when}"] = found.get("commit") or "not of a git checkout"
        rows[f"Python {when}"] = found.get("python")
        rows[f"Devices {when}"] = ", ".join(dict.fromkeys(found.get("devices", ())))
        packages = found.get("packages", {}).items()
        rows[f"Packages {when}"] = ", ".join(
            f"{name} {version}" for name, version in packages if version
        )
    return Section("Versions and hashes", [facts(rows)])
