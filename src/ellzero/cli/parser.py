"""The grammar of the command line, and its help."""

__all__ = ["parse"]

import argparse
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from ellzero.cli.exits import UsageError
from ellzero.cli.options import add_settings
from ellzero.errors import nearest
from ellzero.recipes.law import LawSettings
from ellzero.recipes.law_table import LAWS
from ellzero.recipes.own import PruneSettings
from ellzero.recipes.settings import Settings
from ellzero.recipes.table import RECIPES
from ellzero.recipes.typed import accepted

_CODES = """exit codes:
  0    delivered
  1    a promise of the library failed, or something unforeseen; --debug shows the traceback
  2    a name, an option, a value or a folder is wrong
  3    the budget cannot be reached, or not within these epochs (raise --epochs or --gate-lr)
  4    NaN or infinity; training stopped and the last good state was delivered
  5    data files are missing or damaged
  6    an optional package is missing
  7    a check of a network failed
  130  Ctrl-C; what was there was delivered"""

_EXAMPLES = """examples:
  ellzero train digits
  ellzero train mnist-lenet5 --data data/mnist --budget params=0.1 --out runs/lenet5
  ellzero prune --model mine:build --data mine:loaders --budget macs=0.5
  ellzero train digits --plan-only --out runs/digits && ellzero cut runs/digits
  ellzero check mine:build
  ellzero fit lorenz --noise 0.05"""

_WRITES = """what is written to --out:
  artifact/             the pruned network, for ellzero.artifacts.load
  report.json           settings, versions, sizes, widths, error, history; times under "timing"
  plan.json             widths before and after, and which channels are shut
  curves.svg            loss, error, sizes and multipliers over the epochs
  architecture.svg      widths before and after; where pixels are gated, which are read
  training.safetensors  the gated network, so that 'ellzero cut' can cut it (again)"""

_TRAIN = """examples:
  ellzero train digits
  ellzero train digits --budget params=0.2 --budget macs=0.3 --epochs 50
  ellzero train mnist-lenet5 --data data/mnist --budget 'params:fc*=0.05' --seed 1
  ellzero train mnist-mlp --penalty params=1e-6 --config mlp.yaml"""

_BUDGETS = """budgets and prices:
  params=0.1            at most 10 % of the parameters; also macs (multiply-adds), units (open gates)
  'params:fc*=0.1'      at most 10 % of the parameters of layers whose name matches
  a budget or a penalty on the command line replaces the one of the recipe or the config"""

_CONFIG = """config, in YAML; the options' names with _ for -, overruled by the command line:
  epochs: 50
  gate_lr: 0.1
  budget: {params: 0.1, macs: {"conv*": 0.5}}"""

_PRUNE = """examples:
  ellzero prune --model mine:build --data mine:loaders --budget params=0.2
  ellzero prune --model mine:build --data mine:loaders --loss mine:loss --pretrained --keep 'head*' --budget macs=0.5

your module, importable from the current folder:
  def build() -> nn.Module: ...      the network
  def loaders() -> (train, test)     iterables of (inputs, targets), e.g. DataLoaders; test may be None
  def loss(outputs, targets)         optional; mean loss, cross-entropy if not given"""

_CUT = """The plan is that of plan.json, also after edits: "shut" lists what goes, group by group.

example:
  ellzero train digits --plan-only --out runs/digits     train, show the plan
  ellzero cut runs/digits                                cut, measure, report"""


_FIT = """examples:
  ellzero fit lorenz
  ellzero fit van-der-pol --noise 0.05 --terms 0 --out runs/noisy
  ellzero fit pendulum-transition --data data --terms 12"""

_FIT_WRITES = """what is written to --out:
  equations.json        the equations as data, for ellzero.dictionary.Equations.load
  equations.md          the same as text, LaTeX, Python and C, with the certificate
  report.json           settings, versions, equations, checks, figures; times under "timing"
  *.svg                 support, coefficients and error by number of terms, inclusion, motion"""


_CHECK = """The network is traced, gated, cut to random plans, trained for a step, saved and loaded, exported and
compiled. A table shows its channels, with the reason where they are kept, and what each check found.

your module, importable from the current folder:
  def build() -> (network, example)  the example is a tensor, a tuple of positional or a dict of keyword arguments

examples:
  ellzero check mine:build
  ellzero check mine:network --example mine:example --keep 'head*' --skip 'compile gated'"""


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
    parser, commands = _grammar()
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


def _grammar() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        "ellzero", description="Train networks to a budget and cut them to what stays open; fit sparse equations."
    )
    _lay_out(parser, _EXAMPLES, _CODES)
    parser.add_argument("--version", action="version", version=f"ellzero {version('ellzero')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_Parser)
    made = {"train": _train(commands), "prune": _prune(commands), "cut": _cut(commands), "check": _check(commands)}
    made["fit"] = _fit(commands)
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
    _lay_out(parser, recipes, _BUDGETS, _CONFIG, _TRAIN, _WRITES, _CODES)
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
    _lay_out(parser, _PRUNE, _BUDGETS, _CONFIG, _WRITES, _CODES)
    add_settings(parser, PruneSettings, defaults=True)
    _add_output(parser, "runs/prune")
    return parser


def _cut(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    text = "Cut a network that was trained before to its plan, and write the network, its report and pictures."
    parser = commands.add_parser("cut", help="cut what --plan-only left", description=text)
    _lay_out(parser, _CUT, _CODES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the --out of an earlier train or prune")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier cut")
    return parser


def _check(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    text = "Check that a network of your own can be gated, cut, trained, saved, exported and compiled."
    parser = commands.add_parser("check", help="check a network of your own", description=text)
    _lay_out(parser, _CHECK, _CODES)
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


def _fit(commands: "argparse._SubParsersAction[_Parser]") -> _Parser:
    laws = "recipes:\n" + "\n".join(
        f"  {law.name:<21}{law.summary}; {law.settings().terms or 'as many as needed'} terms" for law in LAWS.values()
    )
    parser = commands.add_parser(
        "fit",
        help="find the equations of one of the recipes",
        description="Find sparse equations in the data of one of the recipes, verify them, and draw them.",
    )
    _lay_out(parser, laws, _FIT, _FIT_WRITES, _CODES)
    parser.add_argument("recipe", type=_law, metavar="RECIPE", help=" | ".join(LAWS))
    _add_laws(parser)
    _add_output(parser, "runs/RECIPE", can_plan=False)
    return parser


def _add_laws(parser: argparse.ArgumentParser) -> None:
    """The settings of all of them together; each refuses what it does not have."""
    known = accepted(LawSettings)
    add_settings(parser, LawSettings, defaults=False)
    for law in LAWS.values():
        add_settings(parser, law.settings, defaults=False, leave_out=known)
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
