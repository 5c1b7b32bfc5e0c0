"""An environment of its own for the tool that ellzero is compared with."""

__all__ = ["python_of_peer"]

import subprocess
import sys
from pathlib import Path

PACKAGES = (("torch==2.13.0",), ("torch-pruning==1.6.1", "transformers==5.23.0"))
"""What is installed, in this order: nothing may pull in another torch."""


def python_of_peer(cache: Path) -> Path:
    """Make the environment, unless it is there already.

    Args:
        cache: folder that it is kept in.

    Returns:
        Its Python.
    """
    home = cache / "torch-pruning"
    python, stamp = home / "bin" / "python", home / "complete"
    wanted = "\n".join(" ".join(packages) for packages in PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making an environment for torch-pruning in {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        for packages in PACKAGES:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return python
