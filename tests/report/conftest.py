"""A network that was really trained to a budget, made-up histories, and what stands in a picture."""

import math
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget
from ellzero.gates import Gated
from ellzero.surgery import prune
from ellzero.training import Epoch, History


@pytest.fixture(scope="session")
def trained():
    """A gated classifier of 4 x 4 images, its budget and what was pruned, after a few steps."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
    gated = Gated(net, torch.zeros(1, 16), inputs=True, log_odds=1.0)
    budget = Budget(gated, params=0.4, units={"input": 0.75}, steps=40)
    optimizer = torch.optim.Adam(gated.parameter_groups(lr=1e-2, gate_lr=3e-2))
    x = torch.randn(64, 16)
    for _ in range(40):
        loss = nn.functional.cross_entropy(gated(x), x[:, :3].argmax(1)) + budget.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.step()
    return gated, budget, prune(gated, budget)


@pytest.fixture(scope="session")
def convolutional():
    """A gated network with positions: 3 channels of 2 x 2 are flattened."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    gated = Gated(net, torch.zeros(1, 1, 4, 4), positions=True, log_odds=0.0)
    budget = Budget(gated, params=0.6)
    return gated, budget, prune(gated, budget)


@pytest.fixture
def make_history():
    """Histories as trainings write them: sizes go down to the goal, errors exist in every n-th epoch or never."""

    def make(num_epochs, goals, *, is_penalty=False, error_every=1):
        history = History({} if is_penalty else dict(goals))
        for epoch in range(1, num_epochs + 1):
            way = min(1.0, 2 * epoch / num_epochs)
            target = {name: goal**way for name, goal in goals.items()}
            expected = {name: min(1.0, 1.1 * share) for name, share in target.items()}
            history.epochs.append(
                Epoch(
                    epoch=epoch,
                    steps=100 * epoch,
                    loss=2 * math.exp(-epoch / 5) + 0.02,
                    error=math.exp(-epoch / 4) if error_every and epoch % error_every == 0 else None,
                    expected=expected,
                    real={name: 0.99 * goal for name, goal in goals.items()},
                    target={} if is_penalty else target,
                    multiplier={} if is_penalty else dict.fromkeys(goals, 0.01 * epoch),
                    undecided=math.exp(-epoch / 6),
                    seconds=3.0 * epoch,
                    seconds_left=3.0 * (num_epochs - epoch),
                )
            )
        return history

    return make


@pytest.fixture
def texts_of():
    """All texts of an SVG file, which is parsed as XML."""

    def read(path):
        root = ElementTree.fromstring(path.read_bytes())
        return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

    return read


@pytest.fixture
def overlaps(monkeypatch):
    """Pairs of texts that lie over each other in the pictures drawn from now on."""
    figure_module = pytest.importorskip("matplotlib.figure")
    from matplotlib.text import Text

    found = []
    save, draw = figure_module.Figure.savefig, Text.draw
    drawn = {}

    def noted(text, renderer):
        drawn[id(text)] = text
        draw(text, renderer)

    def measured(figure, *args, **kwargs):
        drawn.clear()
        save(figure, *args, **kwargs)
        figure.draw_without_rendering()
        boxes = [(text.get_text(), text.get_window_extent()) for text in drawn.values() if text.get_text().strip()]
        assert len(boxes) > 5
        found.extend(
            (one, other)
            for place, (one, box) in enumerate(boxes)
            for other, other_box in boxes[place + 1 :]
            if min(box.x1, other_box.x1) - max(box.x0, other_box.x0) > 1
            and min(box.y1, other_box.y1) - max(box.y0, other_box.y0) > 1
        )

    monkeypatch.setattr(Text, "draw", noted)
    monkeypatch.setattr(figure_module.Figure, "savefig", measured)
    return found
