"""What was checked about equations, with the figures and the limits; plain data that prints as a table."""

__all__ = ["Ablation", "Certificate", "Check"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One figure against its limit; without a limit it is for information and proves nothing.

    Attributes:
        name: what was compared.
        value: the largest difference found.
        limit: the most that is allowed, or None.
        detail: on what.
    """

    name: str
    value: float
    limit: float | None
    detail: str

    @property
    def passed(self) -> bool:
        """Whether the value is within the limit; one that is not a number never is."""
        return self.limit is None or self.value <= self.limit

    @property
    def verdict(self) -> str:
        """The word in the table."""
        return "no limit" if self.limit is None else "passed" if self.passed else "FAILED"


@dataclass(frozen=True)
class Ablation:
    """What one target loses without one term.

    Attributes:
        target: which target.
        term: which term.
        change: root mean square change of the target, relative to its own root mean square.
        error: how many times larger the mean squared error gets, if measured targets were given.
    """

    target: str
    term: str
    change: float
    error: float | None = None


@dataclass(frozen=True)
class Certificate:
    """The result of `verify`; it prints as a table.

    Attributes:
        equations: the equations as text, at the printed precision.
        checks: what was compared.
        ablations: what each term is worth.
        missing: what was not checked because nothing was given to check it with.
    """

    equations: str
    checks: tuple[Check, ...]
    ablations: tuple[Ablation, ...]
    missing: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check that has a limit is within it."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks beyond their limits."""
        return tuple(check for check in self.checks if not check.passed)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("check", "found", "limit", "", "on")]
        for check in self.checks:
            limit = "" if check.limit is None else f"{check.limit:.1e}"
            rows.append((check.name, f"{check.value:.1e}", limit, check.verdict, check.detail))
        table = _aligned(rows)
        if self.ablations:
            has_errors = any(one.error is not None for one in self.ablations)
            lost: list[tuple[str, ...]] = [("without", "in", "changes it by", *(["error times"] if has_errors else []))]
            for one in self.ablations:
                error = [] if not has_errors else [f"{one.error:.3g}" if one.error is not None else ""]
                lost.append((one.term, one.target, f"{one.change:.2%}", *error))
            table += ["", *_aligned(lost)]
        return "\n".join([self.equations, "", *table, "", self._conclusion()])

    def _conclusion(self) -> str:
        word = "passed" if self.passed else f"FAILED: {', '.join(check.name for check in self.failed)}"
        return f"{word}\nnot checked: {', '.join(self.missing)}" if self.missing else word


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=True)).rstrip() for row in rows]
