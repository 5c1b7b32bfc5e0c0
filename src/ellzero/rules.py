"""What a tracing rule for an operation of your own is made of; give rules as `trace(..., rules={"mylib.op": rule})`."""

__all__ = ["Call", "Labels", "Rule", "Value", "mixes", "moves", "pointwise"]

from ellzero.graph import Call, Labels, Rule, Value, mixes, moves, pointwise
