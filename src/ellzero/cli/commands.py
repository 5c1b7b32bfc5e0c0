"""What each command does, in the order in which the user sees it."""

__all__ = ["main"]

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ellzero.cli.display import Display, shortfall
from ellzero.cli.exits import Exit, UsageError, exit_of, line_of
from ellzero.cli.options import given_settings, read_config
from ellzero.cli.parser import parse
from ellzero.conformance import check_model
from ellzero.errors import ConformanceError, nearest
from ellzero.graph import Plan
from ellzero.recipes.classify import Task, Trained, train_task
from ellzero.recipes.functions import build_with_example
from ellzero.recipes.law_output import deliver
from ellzero.recipes.law_table import LAWS, Law
from ellzero.recipes.output import ARTIFACT, check_extras, claimed, cut, lay_out
from ellzero.recipes.plan_file import read_plan
from ellzero.recipes.table import PRUNE, RECIPES, Recipe
from ellzero.recipes.training_file import FILE, SavedTraining, load_training
from ellzero.recipes.typed import accepted, settings_from


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `ellzero`.

    Args:
        argv: its arguments, if not those of the process.

    Returns:
        An `Exit` code. Errors are one line on stderr.

    Example:
        >>> main(["--version"])
        ellzero ...
        0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    log = logging.getLogger("ellzero")
    if not log.hasHandlers():  # what it warns of, gates that were shut, stands in the report; stderr is for errors
        log.addHandler(logging.NullHandler())
    try:
        arguments = parse(words)
        return _COMMANDS[arguments.command](arguments)
    except SystemExit as finished:
        return int(finished.code or 0)
    except KeyboardInterrupt:
        return _say("interrupted before there was anything to deliver", Exit.INTERRUPTED)
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        return _say(f"error: {line_of(error)}", exit_of(error))


def _train(arguments: argparse.Namespace) -> int:
    recipe = PRUNE if arguments.command == "prune" else RECIPES[arguments.recipe]
    given = given_settings(arguments, recipe.settings, read_config(arguments.config))
    try:
        settings = settings_from(recipe.settings, given)
    except TypeError as error:
        raise UsageError(str(error)) from error
    folder = arguments.out or Path("runs") / recipe.name
    check_extras()
    with claimed(folder, overwrite=arguments.overwrite):
        task = recipe.prepare(settings)
        _announce(recipe, task)

        def rescue(trained: Trained, error: Exception) -> None:
            lay_out(SavedTraining(recipe, settings, trained), folder)
            error.add_note(f"what was trained is kept, cut it with: ellzero cut {folder}")

        with Display(settings.epochs, measure=task.measure) as display:
            trained = train_task(task, settings, display.on_epoch, rescue=rescue)
        return _deliver(SavedTraining(recipe, settings, trained), folder, plan_only=arguments.plan_only)


def _deliver(saved: SavedTraining, folder: Path, *, plan_only: bool) -> int:
    """Keep the training first: whatever comes after it, nothing is lost."""
    history = saved.trained.history
    try:
        plan = lay_out(saved, folder)
        if plan_only:
            print(f"\n{plan.show(saved.trained.gated.channels)}\n")
            _show_shortfall(saved.trained, saved.trained.sizer.fit().num_shut)
            print(f"nothing is cut yet: ellzero cut {folder}")
        else:
            _cut_and_show(saved, plan, folder)
    except KeyboardInterrupt:
        is_kept = (folder / FILE).exists()
        rest = f"; the training is kept, cut it with: ellzero cut {folder}" if is_kept else ""
        return _say(f"interrupted while writing to {folder}{rest}", Exit.INTERRUPTED)
    except Exception as error:
        if (folder / FILE).exists():
            error.add_note(f"the training is kept in {folder}")
        raise
    kept = "its plan" if plan_only else "what was there"
    if history.stopped == "interrupted":
        return _say(f"{history.message}; {kept} is in {folder}", Exit.INTERRUPTED)
    if history.stopped == "not finite":
        return _say(f"error: {history.message}; the last good state is in {folder}", Exit.NOT_FINITE)
    return Exit.DONE


def _cut(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    check_extras()
    if (folder / ARTIFACT).exists() and not arguments.overwrite:
        raise UsageError(f"{folder} holds a network that is cut already; replace it with --overwrite")
    plan = read_plan(folder)
    saved = load_training(folder)
    _cut_and_show(saved, plan, folder)
    return Exit.DONE


def _check(arguments: argparse.Namespace) -> int:
    """The table goes out whatever it says; that a check failed is the error."""
    model, example = build_with_example(arguments.model, arguments.example)
    names = ("inputs", "positions", "keep", "exported", "plans", "seed", "skip")
    options = {name: getattr(arguments, name) for name in names}
    found = check_model(model, example, **options)
    print(found, flush=True)
    found.raise_if_failed()
    return Exit.DONE


def _fit(arguments: argparse.Namespace) -> int:
    """Equations go out first, then what was verified about them; a failed certificate is the error."""
    law = LAWS[arguments.recipe]
    given = given_settings(arguments, law.settings, read_config(arguments.config))
    _refuse_foreign(arguments, law)
    try:
        settings = settings_from(law.settings, given)
    except TypeError as error:
        raise UsageError(str(error)) from error
    folder = arguments.out or Path("runs") / law.name
    check_extras()
    start = time.perf_counter()
    with claimed(folder, overwrite=arguments.overwrite):
        found = law.run(settings)
        print(f"{found.certificate}\n\n{found.summary}\n", flush=True)
        for path in deliver(found, law.name, settings, folder, seconds=time.perf_counter() - start):
            print(f"wrote {path}")
    if not found.certificate.passed:
        raise ConformanceError(f"the equations do not pass every check; see {folder}")
    return Exit.DONE


def _refuse_foreign(arguments: argparse.Namespace, law: Law) -> None:
    """Refuse options that belong to other recipes."""
    known = accepted(law.settings)
    options = [f"--{name.replace('_', '-')}" for name in known]
    for name in dict.fromkeys(name for other in LAWS.values() for name in accepted(other.settings)):
        if name not in known and getattr(arguments, name) is not None:
            owners = ", ".join(other.name for other in LAWS.values() if name in accepted(other.settings))
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{law.name} has no option {option!r}, which is one of {owners}{nearest(option, options)} "
                f"(see ellzero fit {law.name} --help)"
            )


def _announce(recipe: Recipe, task: Task) -> None:
    """What will be trained, so that a wrong budget is seen before the time is spent."""
    costs, channels = task.sizer.costs, task.gated.channels
    sizes = ", ".join(f"{full:,} {target}" for target, full in zip(costs.targets, costs.full, strict=True))
    print(f"{recipe.name}: {sizes}; {channels.num_gates:,} gates in {len(channels.gated)} groups\n", flush=True)


def _cut_and_show(saved: SavedTraining, plan: Plan, folder: Path) -> None:
    delivery = cut(saved, plan, folder)
    print(f"\n{delivery.report}\n")
    _show_shortfall(saved.trained, delivery.report.num_shut)
    for path in delivery.files:
        print(f"wrote {path}")


def _show_shortfall(trained: Trained, num_shut: int) -> None:
    text = shortfall(trained.sizer.expected(), trained.history.goal, num_shut)
    if text:
        print(f"{text}\n")


def _say(message: str, code: Exit) -> int:
    print(f"ellzero: {message}", file=sys.stderr, flush=True)
    return code


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = MappingProxyType(
    {"train": _train, "prune": _train, "cut": _cut, "check": _check, "fit": _fit}
)
