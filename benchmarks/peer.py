"""Environments of their own for the tools that ellzero is compared with."""

__all__ = ["python_of_peer"]

import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "torch-pruning": (("torch==2.13.0",), ("torch-pruning==1.6.1", "transformers==5.23.0")),
    "pysindy": (("pysindy==2.1.0", "gluonts[arrow]", "pandas", "tqdm", "matplotlib"), ("--no-deps", "dysts==0.96")),
}
"""What is installed for each, in this order: nothing may pull in another torch."""


def python_of_peer(cache: Path, peer: str = "torch-pruning") -> Path:
    """Make the environment, unless it is there already.

    Args:
        cache: folder that it is kept in.
        peer: name of the tool.

    Returns:
        Its Python.
    """
    home = cache / peer
    python, stamp = home / "bin" / "python", home / "complete"
    wanted = "\n".join(" ".join(packages) for packages in PACKAGES[peer])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making an environment for {peer} in {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        for packages in PACKAGES[peer]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return python
