"""Options made from the typed fields of the settings, and their values from the command line and from YAML."""

__all__ = ["add_settings", "given_settings", "read_amounts", "read_config"]

import argparse
import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ellzero.cli.exits import UsageError
from ellzero.errors import MissingExtraError, nearest
from ellzero.graph import KINDS
from ellzero.recipes.settings import Checked
from ellzero.recipes.typed import accepted, type_of

_METAVARS = {int: "N", float: "X", str: "FOLDER", tuple: "NAME", Mapping: "KIND=SHARE"}


def add_settings(
    parser: argparse.ArgumentParser,
    kind: type[Checked],
    *,
    defaults: bool,
    leave_out: Sequence[str] = (),
    shown: bool = True,
) -> None:
    """Add one option for every setting; what is not given stays None.

    Args:
        parser: where to.
        kind: class of the settings; the line under each field is the help text.
        defaults: whether to show the defaults of this class.
        leave_out: settings that have their options already.
        shown: whether the help lists them.
    """
    texts, blank = _docs(kind), kind()
    for name in (one for one in accepted(kind) if one not in leave_out):
        wanted, default, text = type_of(kind, name), getattr(blank, name), texts.get(name, "")
        option = f"--{name.replace('_', '-')}"
        metavar = "MODULE:FUNCTION" if "module:function" in text else _METAVARS.get(wanted)
        metavar = "LAW" if name == "controller" else metavar
        if defaults and isinstance(default, (int, float, str)) and default != "" and default is not False:
            text += f" (default: {default})"
        text = text if shown else argparse.SUPPRESS
        if wanted is bool:
            parser.add_argument(option, action="store_const", const=True, help=text)
        elif wanted in (Mapping, tuple):
            metavar = "KIND=PRICE" if name == "penalty" else metavar
            parser.add_argument(
                option, action="append", metavar=metavar, help=text if not shown else f"{text}; may be repeated"
            )
        else:
            parser.add_argument(option, type=wanted, metavar=metavar, help=text)


def given_settings(arguments: argparse.Namespace, kind: type[Checked], config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as plain data: those of the YAML file, overruled by those of the command line.

    A penalty on the command line takes the place of a budget in the file, and the other way round.

    Args:
        arguments: what was parsed.
        kind: class of the settings.
        config: content of the YAML file.
    """
    names = [name for name in (*accepted(kind), *kind.unused) if getattr(arguments, name, None) is not None]
    given: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    for name in {"budget", "penalty"} & set(names):
        given[name] = read_amounts(given[name], option=f"--{name}")
    overruled = {"budget", "penalty"} if {"budget", "penalty"} & given.keys() else set()
    return {name: value for name, value in config.items() if name not in overruled} | given


def read_amounts(texts: Sequence[str], *, option: str = "--budget") -> dict[str, Any]:
    """Read what `--budget` or `--penalty` was given, each text as `kind=number` or `kind:pattern=number`.

    Raises:
        UsageError: if a text is malformed, a kind is unknown (the nearest one is offered), or something comes twice.

    Example:
        >>> read_amounts(["params=0.1", "macs:fc*=0.5"])
        {'params': 0.1, 'macs': {'fc*': 0.5}}
    """
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        cost, colon, pattern = name.partition(":")
        if not equals or (colon and not pattern):
            raise UsageError(f"{option} {text}: expected KIND=NUMBER or KIND:PATTERN=NUMBER, e.g. {option} params=0.1")
        if cost not in KINDS:
            raise UsageError(f"{option} {text}: unknown cost {cost!r}{nearest(cost, KINDS)}")
        amounts = found.setdefault(cost, {})
        if (pattern or "*") in amounts:
            raise UsageError(f"{option} {text}: {name} is given twice; state it once")
        try:
            amounts[pattern or "*"] = float(number)
        except ValueError:
            raise UsageError(f"{option} {text}: {number!r} is no number; write it as in {option} {name}=0.1") from None
    return {cost: amounts["*"] if list(amounts) == ["*"] else amounts for cost, amounts in found.items()}


def read_config(path: Path | None) -> dict[str, Any]:
    """Read a YAML file of settings by name.

    Raises:
        UsageError: if the file is missing, no YAML, or no mapping.
        MissingExtraError: if PyYAML is not installed.
    """
    if path is None:
        return {}
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            '--config needs PyYAML, which is not installed; run: pip install "ellzero[cli]"'
        ) from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the config {path} cannot be read: {error}; check the path") from error
    except yaml.YAMLError as error:
        raise UsageError(f"the config {path} is no YAML: {error}; write one 'name: value' per line") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UsageError(f"the config {path} must hold one 'name: value' per line, such as 'epochs: 30'")
    return content


def _docs(kind: type[Checked]) -> dict[str, str]:
    """The line under each field of a dataclass and its parents, as argparse wants it."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        except OSError:  # installed without sources
            continue
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(line))):
                    found[name] = line[0].lower() + line[1:].rstrip(".").replace("%", "%%")
    return found
