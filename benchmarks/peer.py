"""An environment of its own for each tool that ellzero is compared with, and a process in it that answers questions."""

__all__ = ["Peer", "python_of_peer"]

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

PACKAGES = {
    "torch-pruning": (("torch==2.13.0",), ("torch-pruning==1.6.1", "transformers==5.23.0")),
    "abess": (("abess==0.4.11", "scikit-learn==1.9.1", "numpy==2.4.6"),),
    "pysindy": (("pysindy==2.1.0", "scikit-learn==1.9.1", "numpy==2.4.6"),),
}
"""What is installed, in this order: nothing may pull in another torch."""


def python_of_peer(cache: Path, name: str = "torch-pruning") -> Path:
    """Make the environment, unless it is there already.

    Args:
        cache: folder that it is kept in.
        name: which tool.

    Returns:
        Its Python.
    """
    home = cache / name
    python, stamp = home / "bin" / "python", home / "complete"
    wanted = "\n".join(" ".join(packages) for packages in PACKAGES[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making an environment for {name} in {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        for packages in PACKAGES[name]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return python


class Peer:
    """A script in a tool's environment that answers one line of JSON with another, on one thread.

    Args:
        cache: folder that the environment is kept in.
        name: which tool.
        script: what runs there, in this folder.
    """

    def __init__(self, cache: Path, name: str, script: str) -> None:
        command = [python_of_peer(cache, name), str(Path(__file__).parent / script)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer of the script."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
