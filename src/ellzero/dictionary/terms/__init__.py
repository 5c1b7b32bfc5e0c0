"""Candidate terms: what they are, the dictionaries that hold them, and what samples can tell about them."""

__all__ = [
    "FUNCTIONS",
    "Dictionary",
    "Factor",
    "Identifiability",
    "Inner",
    "Relation",
    "Term",
    "Unit",
    "custom",
    "fourier",
    "from_pysindy",
    "identifiability",
    "identity",
    "polynomial",
    "rational",
    "to_pysindy",
    "trigonometric",
    "variables",
]

from ellzero.dictionary.terms.dictionary import Dictionary
from ellzero.dictionary.terms.functions import FUNCTIONS
from ellzero.dictionary.terms.harmonics import fourier, trigonometric
from ellzero.dictionary.terms.identifiability import Identifiability, identifiability
from ellzero.dictionary.terms.inner import Inner, variables
from ellzero.dictionary.terms.libraries import custom, identity, polynomial, rational
from ellzero.dictionary.terms.pysindy_names import from_pysindy, to_pysindy
from ellzero.dictionary.terms.relations import Relation
from ellzero.dictionary.terms.term import Factor, Term
from ellzero.dictionary.terms.units import Unit
