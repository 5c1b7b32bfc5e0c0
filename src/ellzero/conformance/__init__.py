"""Conformance: whether what the library promises holds for a network of the user's own."""

__all__ = ["Check", "Conformance", "check_model"]

from ellzero.conformance.check import check_model
from ellzero.conformance.result import Check, Conformance
