"""Sparse equations: named candidate terms, regression to a budget of terms, dynamics, closed forms."""

__all__ = [
    "FUNCTIONS",
    "Ablation",
    "Certificate",
    "Check",
    "ClosedForm",
    "Dictionary",
    "Equations",
    "Factor",
    "Identifiability",
    "Inner",
    "Output",
    "Relation",
    "SparseDictionary",
    "Term",
    "Unit",
    "custom",
    "fourier",
    "identifiability",
    "identity",
    "polynomial",
    "rational",
    "trigonometric",
    "variables",
    "verify",
]

from ellzero.dictionary.certificate import Ablation, Certificate, Check
from ellzero.dictionary.closed import ClosedForm
from ellzero.dictionary.dictionary import Dictionary
from ellzero.dictionary.equations import Equations
from ellzero.dictionary.functions import FUNCTIONS
from ellzero.dictionary.harmonics import fourier, trigonometric
from ellzero.dictionary.identifiability import Identifiability, identifiability
from ellzero.dictionary.inner import Inner, variables
from ellzero.dictionary.libraries import custom, identity, polynomial, rational
from ellzero.dictionary.outputs import Output
from ellzero.dictionary.relations import Relation
from ellzero.dictionary.sparse import SparseDictionary
from ellzero.dictionary.terms import Factor, Term
from ellzero.dictionary.units import Unit
from ellzero.dictionary.verify import verify
