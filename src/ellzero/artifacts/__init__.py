"""Pruned networks on disk: saved and loaded without pickle, verified to the bit."""

__all__ = [
    "ArtifactDamagedError",
    "ArtifactExistsError",
    "ArtifactMismatchError",
    "ArtifactMissingError",
    "ArtifactUnsafeError",
    "ArtifactUnsavedError",
    "ArtifactVersionError",
    "cut_checkpoint",
    "load",
    "save",
]

from ellzero.artifacts.checkpoint import cut_checkpoint
from ellzero.artifacts.errors import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMismatchError,
    ArtifactMissingError,
    ArtifactUnsafeError,
    ArtifactUnsavedError,
    ArtifactVersionError,
)
from ellzero.artifacts.load import load
from ellzero.artifacts.save import save
