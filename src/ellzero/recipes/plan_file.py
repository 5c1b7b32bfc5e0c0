"""`plan.json`: the plan of a training, to be read and edited before anything is cut."""

__all__ = ["PLAN", "read_plan", "write_plan"]

import json
from pathlib import Path

from ellzero.errors import DataError
from ellzero.graph import Channels, Plan
from ellzero.report.whole import write_whole

PLAN = "plan.json"


def write_plan(plan: Plan, channels: Channels, folder: Path) -> None:
    """Write a plan together with the widths before and after."""
    write_whole(folder / PLAN, _readable(plan, channels).encode())


def read_plan(folder: Path) -> Plan:
    """Read `plan.json`; of an edited one only `shut` counts.

    Raises:
        DataError: if there is none.
        ValueError: if it is no plan.
    """
    path = folder / PLAN
    if not path.is_file():
        raise DataError(f"{folder} holds no {PLAN}; give the --out folder of an earlier ellzero train or ellzero prune")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); mend what was edited") from error
    shut = content.get("shut") if isinstance(content, dict) else None
    if not isinstance(shut, dict):
        raise ValueError(f'{path} is no plan: it needs an object "shut" of group names and lists of channels')
    for name, indices in shut.items():
        if not isinstance(indices, list) or any(type(index) is not int for index in indices):
            raise ValueError(f'{path} is no plan: "shut" needs a list of channel numbers for {name!r}, got {indices!r}')
    return Plan({name: tuple(indices) for name, indices in shut.items()})


def _readable(plan: Plan, channels: Channels) -> str:
    """JSON with one line for each group."""
    widths = [(name, {"before": size, "after": rest}) for name, (size, rest) in plan.widths(channels).items()]
    tables = {"widths": widths, "shut": json.loads(plan.to_json()).items()}
    parts = []
    for title, rows in tables.items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in rows)
        parts.append(f" {json.dumps(title)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
