"""The folder that a search for equations leaves behind: the equations in several languages, a report, pictures."""

__all__ = ["deliver"]

import os
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ellzero.recipes.law import Found, LawSettings
from ellzero.recipes.output import write_json
from ellzero.recipes.typed import settings_to_dict
from ellzero.report.whole import write_whole

REPORT, EQUATIONS, TEXT = "report.json", "equations.json", "equations.md"


def deliver(found: Found, name: str, settings: LawSettings, folder: Path, *, seconds: float) -> tuple[Path, ...]:
    """Write equations, report and pictures; files of earlier runs of the same names are replaced, each whole.

    Args:
        found: what the recipe handed over.
        name: of the recipe.
        settings: that it was run with.
        folder: where to; it exists.
        seconds: that it took.

    Returns:
        What was written.
    """
    with TemporaryDirectory(dir=folder, prefix=".equations.") as temporary:
        part = Path(temporary)
        found.equations.trimmed().save(part / EQUATIONS)
        write_whole(part / TEXT, _text(found, name, settings.precision).encode())
        write_json(part / REPORT, _facts(found, name, settings, seconds))
        for picture, draw in found.pictures.items():
            draw(part / picture)
        names = [EQUATIONS, TEXT, REPORT, *found.pictures]
        for one in names:
            os.replace(part / one, folder / one)
    return tuple(folder / one for one in names)


def _text(found: Found, name: str, precision: int) -> str:
    """Markdown: for people, with the source in LaTeX, Python and C."""
    equations = found.equations.trimmed()
    blocks = {
        "text": f"{found.certificate}\n\n{found.summary}",
        "latex": equations.latex(precision),
        "python": equations.python(),
        "c": equations.c(),
    }
    shown = "\n\n".join(f"```{kind}\n{text.strip()}\n```" for kind, text in blocks.items())
    return f"# Equations of {name}\n\n{shown}\n"


def _facts(found: Found, name: str, settings: LawSettings, seconds: float) -> dict[str, Any]:
    """What differs between two runs with the same seed is under `timing` alone."""
    checks = [
        {"name": one.name, "value": one.value, "limit": one.limit, "on": one.detail} for one in found.certificate.checks
    ]
    return {
        "recipe": name,
        "settings": settings_to_dict(settings),
        "versions": {"ellzero": version("ellzero"), "torch": torch.__version__, "python": platform.python_version()},
        "equations": found.equations.text(None).splitlines(),
        "num_terms": found.equations.num_terms,
        "verified": found.certificate.passed,
        "checks": checks,
        **found.facts,
        "timing": {"seconds": seconds},
    }
