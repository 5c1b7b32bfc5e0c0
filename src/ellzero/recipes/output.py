"""The folder that a training leaves behind: the plan first, and after the cut the network, its report and pictures."""

__all__ = ["ARTIFACT", "Delivery", "check_extras", "claimed", "cut", "lay_out", "write_json"]

import importlib
import json
import math
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from ellzero.artifacts import save
from ellzero.budgets import Budget
from ellzero.errors import BudgetError, MissingExtraError, NonFiniteError, TraceError
from ellzero.graph import Plan
from ellzero.recipes.classify import Trained
from ellzero.recipes.plan_file import PLAN, write_plan
from ellzero.recipes.training_file import FILE, SavedTraining, save_training
from ellzero.recipes.typed import settings_to_dict
from ellzero.report import Report, architecture, curves, report
from ellzero.report.whole import write_whole
from ellzero.surgery import evaluating, prune
from ellzero.training import Epoch

REPORT, ARTIFACT = "report.json", "artifact"
PICTURES = ("curves.svg", "architecture.svg")


@dataclass(frozen=True)
class Delivery:
    """What the cut delivered."""

    small: nn.Module
    report: Report
    files: tuple[Path, ...]


def check_extras() -> None:
    """Refuse to begin without what display and pictures need: better now than after the training.

    Raises:
        MissingExtraError: if rich or matplotlib is not installed.
    """
    for package, extra in (("rich", "cli"), ("matplotlib", "plots")):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError(
                f'the command line needs {package}, which is not installed; run: pip install "ellzero[{extra}]"'
            ) from error


@contextmanager
def claimed(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Make the folder before anything is trained; if it is still empty at the end, it goes again.

    Args:
        folder: where the results will be.
        overwrite: whether there may be something in it. Only results of earlier runs will be replaced, and only when
            there are new ones.

    Raises:
        ValueError: if it is a file, or not empty and nothing may be overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder that is empty or does not exist yet")
    is_new = not folder.exists()
    if not overwrite and not is_new and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another --out, or replace earlier results with --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def lay_out(saved: SavedTraining, folder: Path) -> Plan:
    """Keep the training, and write the plan that keeps the budget; nothing is cut. Earlier results are removed.

    Args:
        saved: the training.
        folder: where to.

    Returns:
        The plan, which `plan.json` holds together with the widths before and after.
    """
    plan = saved.trained.sizer.fit().plan
    _remove(folder, (FILE, PLAN, REPORT, ARTIFACT, *PICTURES))
    save_training(saved, folder)
    write_plan(plan, saved.trained.gated.channels, folder)
    return plan


def cut(saved: SavedTraining, plan: Plan, folder: Path) -> Delivery:
    """Cut the network to the plan, measure it, and write artifact, report and pictures.

    Args:
        saved: the training.
        plan: what to shut.
        folder: where to.

    Returns:
        The network, its report, and what was written.

    Raises:
        ValueError: if an edited plan does not fit the network.
        BudgetError: if it is over the budget.
        NonFiniteError: if the error cannot be measured, after a training in which it could.
        SurgeryError: if the cut network does not compute what the gated one does.
    """
    trained = saved.trained
    small = _prune(trained, plan).eval()
    error = None if trained.evaluate is None else _measured(trained, small)
    budget = trained.sizer if isinstance(trained.sizer, Budget) else None
    result = report(trained.gated, small, error=error, budget=budget)
    with TemporaryDirectory(dir=folder, prefix=".cut.") as temporary:
        part = Path(temporary)
        save(small, part / ARTIFACT)
        write_json(part / REPORT, _facts(saved, result))
        if trained.history.epochs:
            curves(trained.history, part / PICTURES[0])
        architecture(small, part / PICTURES[1], image=_image(saved))
        _remove(folder, (REPORT, ARTIFACT, *PICTURES))
        names = [name for name in (ARTIFACT, REPORT, *PICTURES) if (part / name).exists()]
        for name in names:
            os.rename(part / name, folder / name)
    return Delivery(small, result, tuple(folder / name for name in (*names, PLAN, FILE)))


def _prune(trained: Trained, plan: Plan) -> nn.Module:
    """The gates' own plan is cut by way of the budget, so that what it shut is on record."""
    sizer = trained.sizer
    if plan == sizer.fit().plan:
        return prune(trained.gated, sizer)
    try:
        is_open = plan.open_gates(trained.gated.layout)
    except TraceError as error:
        raise ValueError(f'{error}; mend "shut" in {PLAN}') from error
    if isinstance(sizer, Budget):
        sizes = sizer.costs.exact(is_open)
        for target, size, limit in zip(sizer.costs.targets, sizes, sizer.limits, strict=True):
            if size > limit:
                raise BudgetError(f"the plan keeps {size:,} {target}, but the budget allows {limit:,}; shut more in it")
    return prune(trained.gated, plan=plan)


def _measured(trained: Trained, small: nn.Module) -> float | None:
    """What the cut network is worth; nothing if the training ended because that cannot be measured."""
    assert trained.evaluate is not None
    try:
        with evaluating(small), torch.no_grad():
            found = trained.evaluate(small)
        if not math.isfinite(found):
            raise NonFiniteError(f"the evaluation of the cut network gives {found}; look at the data it is done on")
    except Exception:
        if trained.history.stopped in ("not finite", "failed"):
            return None
        raise
    return found


def _image(saved: SavedTraining) -> tuple[int, int] | None:
    """Which pixels are read can be drawn where pixels are gated."""
    has_input = any(group.kind == "input" for group in saved.trained.gated.channels.gated)
    return saved.recipe.image if has_input else None


def _facts(saved: SavedTraining, result: Report) -> dict[str, Any]:
    """All that is known about the run; what differs between two runs with the same seed is under `timing` alone."""
    history = saved.trained.history
    return {
        "recipe": saved.recipe.name,
        "settings": settings_to_dict(saved.settings),
        "versions": {"ellzero": version("ellzero"), "torch": torch.__version__, "python": platform.python_version()},
        "measure": saved.trained.measure,
        **result.to_dict(),
        "stopped": history.stopped,
        "message": history.message,
        "goal": history.goal,
        "history": [_without_times(epoch) for epoch in history.epochs],
        "timing": {
            "seconds": history.epochs[-1].seconds if history.epochs else None,
            "seconds_at_epoch": [epoch.seconds for epoch in history.epochs],
        },
    }


def _without_times(epoch: Epoch) -> dict[str, Any]:
    return {name: value for name, value in asdict(epoch).items() if not name.startswith("seconds")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain data as JSON, whole or not at all; numbers that are not finite become null."""
    write_whole(path, (json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode())


def _finite(tree: Any) -> Any:
    """JSON has no NaN: a test loss that is none becomes null."""
    if isinstance(tree, dict):
        return {name: _finite(part) for name, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(part) for part in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
