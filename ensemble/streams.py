"""Random streams: every random number of a run follows from its seed, the member and what it is for.

``SeedSequence(seed, spawn_key=(member, purpose, …))`` makes the streams independent of one another, so member 7 can
be trained alone, growing an ensemble changes nobody, and nothing about chance needs to be stored.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. Values are part of the format: never renumber them."""

    INIT = 0
    RESAMPLE = 1
    ORDER = 2
    DROPOUT = 3
    DROPOUT_SAMPLES = 4
    AUGMENT = 5


class RunPurpose(IntEnum):
    """Streams of the run as a whole, which no member owns."""

    SPLIT = 0
    PARTS = 1
    HOLDOUT = 2
    REPORT = 3
    MATCHING = 4
    REFRESH = 5


def member_sequence(seed: int, member: int, purpose: Purpose, *more: int) -> np.random.SeedSequence:
    """The stream of one member for one purpose; ``more`` tells apart epochs or heads."""
    return np.random.SeedSequence(seed, spawn_key=(member, int(purpose), *more))


def run_sequence(seed: int, purpose: RunPurpose) -> np.random.SeedSequence:
    """A stream of the run as a whole: a spawn key of one number, which no member's can equal."""
    return np.random.SeedSequence(seed, spawn_key=(int(purpose),))


def generator(sequence: np.random.SeedSequence) -> np.random.Generator:
    """A NumPy generator on the stream."""
    return np.random.Generator(np.random.PCG64(sequence))


def torch_seed(sequence: np.random.SeedSequence) -> int:
    """A seed for ``torch.manual_seed``: 48 bits of the stream, which JSON holds exactly."""
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(16))
