"""Every Python example of the README and the documentation runs as it is written, and prints what stands below it."""

import doctest
import re
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/quickstart.md",
    "docs/check.md",
    "docs/transformers.md",
    "docs/equations.md",
    "docs/regression.md",
    "docs/tutorial.md",
    "docs/large.md",
    "docs/extending.md",
    "docs/dynamics.md",
)
WITHOUT_NETWORKS = {"docs/regression.md", "docs/dynamics.md"}


def build():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def what_the_text_names():
    """The user's own things, which the text mentions before the example."""
    torch.manual_seed(0)
    batches = [(torch.randn(8, 6), torch.randint(3, (8,))) for _ in range(4)]
    return {"model": build(), "example_inputs": torch.randn(1, 6), "loader": batches, "build": build}


def agree(shown, printed):
    """Whether two outputs have the same words; numbers and widths of tables differ between machines."""
    shown, printed = (re.sub(r"-{3,}|[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", text) for text in (shown, printed))
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("x' = -0.51 x", "x' = -0.5 x\n", True),
        ("-----  ---\npassed  1.1e-16", "------  ----\npassed   0\n", True),
        ("trace  passed\n...", "trace  passed\nexport  failed\n", True),
        ("x' = -0.5 x", "x' = -0.5 x + 0.1\n", False),
        ("3  kept: no rule", "3  kept: is an output\n", False),
    ],
)
def test_outputs_agree_by_their_words(shown, printed, same):
    assert agree(shown, printed) is same


@pytest.mark.filterwarnings("ignore:`isinstance\\(treespec:FutureWarning")  # PyTorch's own, while it writes ONNX
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = what_the_text_names()
    blocks = re.findall(r"```(python|text)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    printed = ""
    for kind, block in blocks:
        if kind == "text":
            assert agree(block, printed), f"the page has\n{block}\nthe example prints\n{printed}"
            continue
        if "runs/lenet5/artifact" in block:  # what the command line would have written
            (tmp_path / "runs" / "lenet5").mkdir(parents=True)
            (tmp_path / "lenet").rename(tmp_path / "runs" / "lenet5" / "artifact")
        exec(compile(block, page, "exec"), names)
        printed = capsys.readouterr().out
    assert page in WITHOUT_NETWORKS or isinstance(names["small"], nn.Module)


@pytest.mark.parametrize("page", [*PAGES, "docs/concepts.md"])
def test_every_local_link_of_a_page_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
