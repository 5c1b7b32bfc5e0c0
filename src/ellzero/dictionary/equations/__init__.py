"""Sparse equations as plain data, in every language that they are needed in, and held against where they came from."""

__all__ = [
    "Ablation",
    "Certificate",
    "Check",
    "ClosedForm",
    "Equations",
    "Output",
    "SparseDictionary",
    "polish",
    "verify",
]

from ellzero.dictionary.equations.certificate import Ablation, Certificate, Check
from ellzero.dictionary.equations.closed import ClosedForm
from ellzero.dictionary.equations.equations import Equations
from ellzero.dictionary.equations.outputs import Output
from ellzero.dictionary.equations.polish import polish
from ellzero.dictionary.equations.sparse import SparseDictionary
from ellzero.dictionary.equations.verify import verify
