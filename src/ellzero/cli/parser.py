"""The grammar of the command line, and its help."""

__all__ = ["parse"]

import argparse
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from ellzero.cli.exits import UsageError
from ellzero.cli.help_texts import (
    BUDGETS,
    CHECK,
    CODES,
    CONFIG,
    CUT,
    EXAMPLES,
    FIT,
    FIT_CODES,
    FIT_WRITES,
    PRUNE,
    TRAIN,
    WRITES,
)
from ellzero.cli.options import add_settings
from ellzero.errors import nearest
from ellzero.recipes.law import LawSettings
from ellzero.recipes.law_table import LAWS
from ellzero.recipes.own import PruneSettings
from ellzero.recipes.settings import Settings
from ellzero.recipes.table import RECIPES
from ellzero.recipes.typed import accepted


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving, so that every mistake takes the same way out."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line.

    Returns:
        `command` (`"train"`, `"prune"`, `"cut"`, `"check"` or `"fit"`) and its options; those not given are None.

    Raises:
        UsageError: if it is wrong; the nearest name is offered.
        SystemExit: after `--help` and `--version`.
    """
    named = next((word for word in argv if word in LAWS), None)
    parser, commands = _grammar(named if "fit" in argv else None)
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in commands:
        raise UsageError(f"unknown command {first!r}{nearest(first, commands)}")
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command is None:
        parser.error(f"a command is missing; known are {', '.join(commands)}")
    for word in rest:
        _refuse(word, commands[arguments.command])
    return arguments


def _refuse(word: str, parser: argparse.ArgumentParser) -> NoReturn:
    option = word.partition("=")[0]
    if not option.startswith("-"):
        raise UsageError(f"unexpected {word!r}; see {parser.prog} --help")
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    raise UsageError(f"unknown option {option!r}{nearest(option, known)}")


def _grammar(law: str | None) -> tuple[_Parser, dict[str, _Parser]]:
    """The parser and those of its commands; that of `fit` explains the options of a law, if one is named."""
    parser = _Parser(
        "ellzero", description="Train networks to a budget and cut them to what stays open; fit sparse equations."
    )
    _lay_out(parser, EXAMPLES, CODES)
    parser.add_argument("--version", action="version", version=f"ellzero {version('ellzero')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_Parser)
    made = {"train": _train(commands), "prune": _prune(commands), "cut": _cut(commands), "check": _check(commands)}
    made["fit"] = _fit(commands, law)
    for one in made.values():
        one.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
    return parser, made


def _train(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    recipes = "recipes:\n" + "\n".join(
        f"  {recipe.name:<14}{recipe.summary}; {_defaults(recipe.settings())}" for recipe in RECIPES.values()
    )
    parser = commands.add_parser(
        "train",
        help="train one of the recipes and cut it",
        description="Train one of the recipes to a budget, cut it, and write the network, its report and pictures.",
    )
    _lay_out(parser, recipes, BUDGETS, CONFIG, TRAIN, WRITES, CODES)
    parser.add_argument("recipe", type=_recipe, metavar="RECIPE", help=" | ".join(RECIPES))
    add_settings(parser, Settings, defaults=False)
    _add_output(parser, "runs/RECIPE")
    return parser


def _prune(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    parser = commands.add_parser(
        "prune",
        help="train a network of your own and cut it",
        description="Train a network of your own to a budget, cut it, and write the network, its report and pictures.",
    )
    _lay_out(parser, PRUNE, BUDGETS, CONFIG, WRITES, CODES)
    add_settings(parser, PruneSettings, defaults=True)
    _add_output(parser, "runs/prune")
    return parser


def _cut(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    text = "Cut a network that was trained before to its plan, and write the network, its report and pictures."
    parser = commands.add_parser("cut", help="cut what --plan-only left", description=text)
    _lay_out(parser, CUT, CODES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the --out of an earlier train or prune")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier cut")
    return parser


def _check(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    text = "Check that a network of your own can be gated, cut, trained, saved, exported and compiled."
    parser = commands.add_parser("check", help="check a network of your own", description=text)
    _lay_out(parser, CHECK, CODES)
    parser.add_argument("model", metavar="MODULE:FUNCTION", help="function that returns (network, example)")
    parser.add_argument("--example", metavar="MODULE:FUNCTION", help="function that returns the example")
    parser.add_argument("--inputs", action="store_true", help="input features can be gated")
    parser.add_argument("--positions", action="store_true", help="flattened positions can be gated one by one")
    keep = "modules or tensors whose channels are kept whole; may be repeated"
    parser.add_argument("--keep", action="append", default=[], metavar="NAME", help=keep)
    graphs = "cut networks are exported graphs, in which sizes that the forward pass fixes are corrected"
    parser.add_argument("--exported", action="store_true", help=graphs)
    parser.add_argument("--plans", type=int, default=3, metavar="N", help="how many random plans (default: 3)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random plans (default: 0)")
    skip = "checks to leave out; may be repeated"
    parser.add_argument("--skip", action="append", default=[], metavar="CHECK", help=skip)
    return parser


def _fit(commands: "argparse._SubParsersAction[_Parser]", named: str | None) -> _Parser:
    laws = "recipes:\n" + "\n".join(
        f"  {law.name:<21}{law.summary}; {law.settings().terms or 'as many as needed'} terms" for law in LAWS.values()
    )
    parser = commands.add_parser(
        "fit",
        help="find the equations of one of the recipes",
        description="Find sparse equations in the data of one of the recipes, verify them, and draw them.",
    )
    parts = [laws, _own_options()] if named is None else [f"{named}: {LAWS[named].summary}"]
    _lay_out(parser, *parts, FIT, FIT_WRITES, FIT_CODES)
    parser.add_argument("recipe", type=_law, metavar="RECIPE", help=" | ".join(LAWS))
    _add_laws(parser, named)
    _add_output(parser, "runs/RECIPE", can_plan=False)
    return parser


def _own_options() -> str:
    """Which recipes have which options beside those of all."""
    found: dict[tuple[str, ...], list[str]] = {}
    for law in LAWS.values():
        own = tuple(name for name in accepted(law.settings) if name not in accepted(LawSettings))
        found.setdefault(own, []).append(law.name)
    lines = []
    for names, recipes in found.items():
        options = " ".join(f"--{name.replace('_', '-')}" for name in names)
        lines += [f"  {', '.join(recipes)}:", f"      {options}"]
    return "\n".join(["further options, which 'ellzero fit RECIPE --help' explains with their defaults:", *lines])


def _add_laws(parser: argparse.ArgumentParser, named: str | None) -> None:
    """The settings of all of them, so that each is refused by name where it does not belong; shown are those of one."""
    shown = LawSettings if named is None else LAWS[named].settings
    add_settings(parser, shown, defaults=named is not None)
    known = accepted(shown)
    for law in LAWS.values():
        add_settings(parser, law.settings, defaults=False, leave_out=known, shown=False)
        known += tuple(name for name in accepted(law.settings) if name not in known)


def _add_output(parser: argparse.ArgumentParser, default: str, *, can_plan: bool = True) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings, 'name: value' per line")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"where to write (default: {default})")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results in --out")
    if can_plan:
        parser.add_argument("--plan-only", action="store_true", help="train and show the plan, cut nothing")


def _recipe(name: str) -> str:
    if name not in RECIPES:
        raise argparse.ArgumentTypeError(f"unknown recipe {name!r}{nearest(name, RECIPES)}")
    return name


def _law(name: str) -> str:
    if name not in LAWS:
        raise argparse.ArgumentTypeError(f"unknown recipe {name!r}{nearest(name, LAWS)}")
    return name


def _defaults(settings: Settings) -> str:
    amounts = " ".join(f"{kind}={share}" for kind, share in settings.budget.items())
    return f"{amounts}, {settings.epochs} epochs"


def _lay_out(parser: _Parser, *parts: str) -> None:
    parser.epilog = "\n\n".join(parts)
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, max_help_position=30, width=100)
    parser.allow_abbrev = False
