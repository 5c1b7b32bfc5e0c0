"""The house rules of the source tree: who may import whom, and how every file begins, is called and how long it is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ellzero"
FLOORS = {
    "cli": 6,
    "recipes": 5,
    "conformance": 5,
    "report": 4,
    "integrations": 4,
    "dictionary": 3,
    "control": 3,
    "training": 3,
    "gates": 2,
    "budgets": 2,
    "surgery": 2,
    "artifacts": 2,
    "rules": 2,
    "distributions": 1,
    "graph": 1,
    "errors": 0,
    "noise": 0,
}
STOREYS = {
    "dictionary": {"dynamics": 2, "equations": 1, "regression": 0, "terms": 0},
    "graph": {"tracing": 3, "cutting": 2, "labelling": 1, "plans": 0, "recording": 0},
}
OPTIONAL = {
    "matplotlib", "rich", "yaml", "pooch", "sklearn", "onnx", "onnxscript", "onnxruntime", "transformers",
    "sympy", "scipy", "gymnasium",
}  # fmt: skip
MAX_LINES = 400


class Tree:
    """The modules of a source tree by dotted name, parsed, and the imports between them."""

    def __init__(self, root: Path) -> None:
        self.files = {module_name(path, root): path for path in sorted(root.rglob("*.py"))}
        self.syntax = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}

    def imports(self, name: str) -> set[str]:
        """The modules of the tree that a module imports, wherever in the file the import stands."""
        found: set[str] = set()
        for node in ast.walk(self.syntax[name]):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names if alias.name.split(".")[0] == "ellzero")
            elif isinstance(node, ast.ImportFrom):
                found.update(self.targets(node, name))
        return found - {name}

    def targets(self, node: ast.ImportFrom, name: str) -> set[str]:
        """`from a import b` imports the module `a.b` when there is one, otherwise `a`; a leading dot is resolved."""
        base = node.module or ""
        if node.level:
            package = name.split(".") if self.files[name].name == "__init__.py" else name.split(".")[:-1]
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
        if base.split(".")[0] != "ellzero":
            return set()
        return {f"{base}.{alias.name}" if f"{base}.{alias.name}" in self.files else base for alias in node.names}

    def floor(self, room: str) -> int:
        """The floor of a room; the package itself stands on the highest floor that its `__init__` reaches."""
        if room:
            return FLOORS[room]
        return max((FLOORS[room_of(target)] for target in self.imports("ellzero") if room_of(target)), default=0)


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(["ellzero", *(part for part in parts if part != "__init__")])


def room_of(name: str) -> str:
    """The room of a module, empty for the package itself."""
    return [*name.split("."), ""][1]


def chamber_of(name: str) -> str:
    """What a large room is divided into; empty for the room itself, which only collects names."""
    return [*name.split("."), "", ""][2]


def unplaced_rooms(tree: Tree) -> list[str]:
    unknown = sorted({room_of(name) for name in tree.files} - FLOORS.keys() - {""})
    return [f"the room {room!r} has no floor; place it in FLOORS of tests/test_floors.py" for room in unknown]


def violations(tree: Tree) -> list[str]:
    """Rooms without a floor; when there is none, imports that lead to another room on the same floor or higher."""
    found = unplaced_rooms(tree)
    if found:
        return found
    for name in sorted(tree.files.keys() - {"ellzero"}):
        room = room_of(name)
        for target in sorted(tree.imports(name)):
            if room_of(target) != room and tree.floor(room_of(target)) >= tree.floor(room):
                found.append(
                    f"{name} (floor {tree.floor(room)}) imports {target} (floor {tree.floor(room_of(target))}); "
                    "a file imports its own room and lower floors only"
                )
    return found


def violations_within(tree: Tree) -> list[str]:
    """The same inside of the rooms that are divided: their parts have storeys, and all files lie in one of them."""
    found = []
    for name in sorted(tree.files):
        storeys = STOREYS.get(room_of(name))
        here = chamber_of(name)
        if storeys is None or not here:
            continue
        if here not in storeys:
            found.append(f"{name} lies in no part of its room; place it or add {here!r} to STOREYS")
            continue
        for target in sorted(tree.imports(name)):
            there = chamber_of(target)
            if room_of(target) == room_of(name) and there != here and storeys.get(there, 99) >= storeys[here]:
                found.append(f"{name} (storey {storeys[here]}) imports {target}; import lower parts of the room only")
    return found


def cycle(tree: Tree) -> list[str]:
    """The modules of one import cycle in order, or nothing."""
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in finished or name not in tree.files:
            return []
        for target in sorted(tree.imports(name)):
            if found := visit(target, [*path, name]):
                return found
        finished.add(name)
        return []

    return next((found for name in tree.files if (found := visit(name, []))), [])


def lists_its_names_after_its_docstring(module: ast.Module) -> bool:
    """Docstring, then `__all__`; only `from __future__` may stand between, because Python wants it there."""
    if ast.get_docstring(module) is None:
        return False
    rest = [node for node in module.body[1:] if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    match rest:
        case [ast.Assign(targets=[ast.Name("__all__")], value=value), *_]:
            pass
        case [ast.AnnAssign(target=ast.Name("__all__"), value=value), *_]:
            pass
        case _:
            return False
    return isinstance(value, ast.List) and all(
        isinstance(item, ast.Constant) and isinstance(item.value, str) for item in value.elts
    )


@pytest.fixture(scope="module")
def source() -> Tree:
    return Tree(SOURCE)


def test_the_tree_is_found(source):
    assert "ellzero.errors" in source.files


def test_every_room_has_a_floor_and_files_import_their_own_room_and_lower_floors_only(source):
    assert not violations(source)


def test_the_parts_of_large_rooms_import_lower_parts_only(source):
    assert not violations_within(source)


def test_no_import_leads_back_to_where_it_started(source):
    assert not cycle(source), "move the type that both sides need, not the import"


def test_no_file_is_called_utils_or_misc(source):
    assert not [path for path in source.files.values() if path.stem in {"utils", "misc"}]


def test_every_module_lists_its_names_right_after_its_docstring(source):
    offenders = [name for name, module in source.syntax.items() if not lists_its_names_after_its_docstring(module)]
    assert not offenders


def test_no_file_is_longer_than_the_limit(source):
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in source.files.items()}
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}


def test_importing_the_package_leaves_optional_dependencies_alone():
    script = (
        "import sys, torch, numpy, safetensors.torch; before = set(sys.modules); import ellzero; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    imported = set(done.stdout.split())
    assert "ellzero" in imported
    assert not imported & OPTIONAL


# --- the checks themselves, on trees made up for them ---


def made_up(folder: Path, files: dict[str, str]) -> Tree:
    """A tree with the given files, by path without `.py`."""
    for name, code in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return Tree(folder)


@pytest.mark.parametrize(
    "code",
    [
        "import ellzero.surgery",
        "from ellzero.surgery import fold",
        "from ellzero import surgery",
        "from .. import surgery",
        "from ..surgery import fold",
        "from ..surgery.fold import fold as other",
        "def late():\n    import ellzero.surgery.fold as fold\n",
        "from ellzero.cli import main",
    ],
)
def test_the_check_catches_a_neighbour_and_a_higher_floor(tmp_path, code):
    tree = made_up(tmp_path, {"gates/gated": code, "surgery/__init__": "", "surgery/fold": "", "cli": ""})
    (violation,) = violations(tree)
    assert violation.startswith("ellzero.gates.gated (floor 2) imports ellzero.")


@pytest.mark.parametrize(
    "code",
    [
        "from ellzero.gates.masks import Mask",
        "from .masks import Mask",
        "from . import masks",
        "from ellzero.graph import Channels",
        "from ..errors import nearest",
        "import torch",
        "from elsewhere.surgery import fold",
    ],
)
def test_the_check_accepts_the_own_room_lower_floors_and_other_packages(tmp_path, code):
    tree = made_up(tmp_path, {"gates/gated": code, "gates/masks": "", "graph/__init__": "", "errors": ""})
    assert not violations(tree)


def test_the_package_itself_may_import_anything_and_stands_on_the_highest_floor_it_imports(tmp_path):
    files = {
        "__init__": "from ellzero.gates import Gated\nfrom ellzero.report import report",
        "gates": "",
        "report": "",
        "recipes": "import ellzero as l0",
        "training": "import ellzero as l0",
    }
    assert violations(made_up(tmp_path, files)) == [
        "ellzero.training (floor 3) imports ellzero (floor 4); a file imports its own room and lower floors only"
    ]


def test_the_check_asks_to_place_a_new_room(tmp_path):
    tree = made_up(tmp_path, {"attic/box": "import ellzero.gates", "gates": ""})
    assert violations(tree) == ["the room 'attic' has no floor; place it in FLOORS of tests/test_floors.py"]


@pytest.mark.parametrize(
    ("path", "code", "is_fine"),
    [
        ("dictionary/dynamics/flow", "from ellzero.dictionary.terms.term import Term", True),
        ("dictionary/terms/inner", "from ellzero.dictionary.terms.term import Term", True),
        ("dictionary/equations/rows", "from ellzero.dictionary.dynamics.flow import flow", False),
        ("dictionary/regression/gram", "from ellzero.dictionary.terms.term import Term", False),
        ("dictionary/terms/inner", "from ellzero.dictionary import Dynamics", False),
        ("dictionary/stray", "import torch", False),
    ],
)
def test_the_check_knows_the_parts_of_a_room(tmp_path, path, code, is_fine):
    files = {"dictionary/__init__": "", "dictionary/terms/term": "", "dictionary/dynamics/flow": ""}
    assert (not violations_within(made_up(tmp_path, files | {path: code}))) is is_fine


def test_the_check_finds_a_cycle_through_three_files(tmp_path):
    files = {
        "graph/__init__": "from ellzero.graph.tracing import trace",
        "graph/tracing": "from . import rules",
        "graph/rules": "def late():\n    from ellzero.graph import trace\n",
        "errors": "",
    }
    assert cycle(made_up(tmp_path, files)) == [
        "ellzero.graph",
        "ellzero.graph.tracing",
        "ellzero.graph.rules",
        "ellzero.graph",
    ]


def test_the_check_accepts_two_ways_to_one_file(tmp_path):
    files = {"graph/a": "from . import b, c", "graph/b": "from . import c", "graph/c": "import torch"}
    assert cycle(made_up(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("code", "is_fine"),
    [
        ('"""Duty."""\n__all__ = ["trace"]\nimport torch\n', True),
        ('"""Duty."""\n__all__: list[str] = []\n', True),
        ('"""Duty."""\nfrom __future__ import annotations\n__all__ = ["trace"]\n', True),
        ('"""Duty."""\nimport torch\n__all__ = ["trace"]\n', False),
        ('"""Duty."""\n__all__ = [trace]\n', False),
        ('"""Duty."""\n', False),
        ('__all__ = ["trace"]\n', False),
        ("", False),
    ],
)
def test_the_check_knows_how_a_file_begins(code: str, is_fine: bool):
    assert lists_its_names_after_its_docstring(ast.parse(code)) is is_fine
