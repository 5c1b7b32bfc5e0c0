"""A small training loop for recipes and the command line."""

__all__ = ["Epoch", "History"]

from ellzero.training.history import Epoch, History
