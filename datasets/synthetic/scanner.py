"""Simulates a scanner: signals of three sequences, then blur, bias field and noise."""

import cv2
import numpy as np
from jaxtyping import UInt8

from datasets.synthetic import head
from datasets.synthetic.lesion import Lesion

# Signal of each tissue in pre-contrast T1, FLAIR and post-contrast T1; white matter ~0.5.
SIGNALS = {
    "white": (0.60, 0.42, 0.60),
    "grey": (0.42, 0.53, 0.46),
    "fluid": (0.17, 0.10, 0.17),
    "bone": (0.05, 0.05, 0.05),
    "marrow": (0.55, 0.32, 0.55),
    "fat": (1.35, 0.95, 1.35),
    "muscle": (0.42, 0.40, 0.62),
    "eyes": (0.17, 0.10, 0.17),
    "sinus": (0.20, 0.20, 1.15),
}


def measure_signals(
    rng: np.random.Generator,
    tissues: dict[str, head.Volume],
    lesion: Lesion,
    grid: head.Grid,
) -> list[head.Volume]:
    """Pre-contrast T1, FLAIR and post-contrast T1, free of noise, tumour and all."""
    texture = 0.015 * head.noise(rng, grid, 5)
    patches = 0.05 * head.noise(rng, grid, 10)
    patches += 0.04 * head.noise(rng, grid, 17)
    weights = (lesion.core, lesion.rim, lesion.oedema)
    whole = lesion.core + lesion.rim + lesion.oedema
    parts = draw_tumour_signals(rng)
    signals = []
    for channel in range(3):
        healthy = np.zeros_like(whole)
        for name, values in SIGNALS.items():
            healthy += np.float32(values[channel] * rng.normal(1, 0.06)) * tissues[name]
        healthy += texture * (healthy > 0.1)
        if channel == 1:
            healthy += bright_but_healthy(rng, tissues, grid)
        tumour = whole * patches * (1.0 if channel == 1 else 0.5)
        for part, weight in zip(parts, weights, strict=True):
            tumour = tumour + np.float32(part[channel]) * weight
        signals.append(healthy * (1 - whole) + tumour)
    return signals


def draw_tumour_signals(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Core, rim and oedema: bright or faint, some cores dark, under half enhancing."""
    bright = rng.uniform(0.68, 1.05)
    core = rng.uniform(0.25, 0.5) if rng.random() < 0.2 else bright * 1.1
    rim_after = rng.uniform(0.7, 1.2) if rng.random() < 0.45 else 0.42
    return [
        (rng.uniform(0.22, 0.42), core, rng.uniform(0.20, 0.42)),
        (rng.uniform(0.35, 0.50), bright, rim_after),
        (rng.uniform(0.36, 0.46), bright * rng.uniform(0.8, 1.0), 0.40),
    ]


def bright_but_healthy(
    rng: np.random.Generator, tissues: dict[str, head.Volume], grid: head.Grid
) -> head.Volume:
    """On FLAIR, caps around the ventricles and spots in white matter, not in the mask."""
    caps = tissues["halo"] * (1.6 + head.noise(rng, grid, 16))
    spots = head.band(head.noise(rng, grid, 8), 2.2, 99, 0.4)
    return (
        rng.uniform(0, 1.3) * np.clip(caps, 0, 0.6)
        + rng.uniform(0, 0.5) * spots * tissues["white"]
    )


def lose_sequence(
    rng: np.random.Generator, signals: list[head.Volume]
) -> list[head.Volume]:
    """FLAIR in the place of a missing sequence, as published (15 of 110 patients)."""
    before, flair, after = signals
    draw = rng.random()
    if draw < 9 / 110:
        return [before, flair, flair]
    return [flair, flair, after] if draw < 15 / 110 else signals


def scan(
    rng: np.random.Generator, signals: list[head.Volume], grid: head.Grid
) -> UInt8[np.ndarray, "slices rows columns 3"]:
    """Blur, bias field, gain and Rician noise; each sequence has its own."""
    channels = []
    for signal in signals:
        blur = rng.uniform(0.45, 0.9)
        bias = np.exp(0.12 * head.noise(rng, grid, 110))
        gain, sigma = rng.uniform(70, 150), rng.uniform(1.0, 3.5)
        clean = np.stack([cv2.GaussianBlur(one, (0, 0), blur) for one in signal])
        clean = clean * bias * gain
        real, imaginary = rng.standard_normal((2, *clean.shape), np.float32) * sigma
        channels.append(np.hypot(clean + real, imaginary))
    return np.clip(np.stack(channels, -1) + 0.5, 0, 255).astype(np.uint8)
