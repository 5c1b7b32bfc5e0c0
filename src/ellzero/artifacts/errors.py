"""One error for each thing that can be wrong with a saved network; all are `ArtifactError`s."""

__all__ = [
    "ArtifactDamagedError",
    "ArtifactExistsError",
    "ArtifactMismatchError",
    "ArtifactMissingError",
    "ArtifactUnsafeError",
    "ArtifactUnsavedError",
    "ArtifactVersionError",
]

from ellzero.errors import ArtifactError


class ArtifactMissingError(ArtifactError):
    """The folder or one of its files is not there, or cannot be read."""


class ArtifactDamagedError(ArtifactError):
    """A file is cut short, was changed after it was saved, or does not hold what it should."""


class ArtifactVersionError(ArtifactError):
    """The folder was written in a format that this version does not know."""


class ArtifactMismatchError(ArtifactError):
    """The build function gives another network than the one that was saved."""


class ArtifactUnsafeError(ArtifactError):
    """A file is named that lies outside of the folder, or stands there as a link."""


class ArtifactExistsError(ArtifactError):
    """Something is in the place where the artifact should go; nothing was changed."""


class ArtifactUnsavedError(ArtifactError):
    """The artifact could not be written; what was there before is untouched."""
