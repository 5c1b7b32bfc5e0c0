"""A small training loop for recipes and the command line."""

__all__ = ["Batches", "Epoch", "History", "Loader", "train"]

from ellzero.training.batches import Batches
from ellzero.training.history import Epoch, History
from ellzero.training.loop import Loader, train
