"""What the help says below the options: examples, files, exit codes."""

__all__ = [
    "BUDGETS",
    "CHECK",
    "CODES",
    "CONFIG",
    "CUT",
    "EXAMPLES",
    "FIT",
    "FIT_CODES",
    "FIT_WRITES",
    "PRUNE",
    "TRAIN",
    "WRITES",
]

CODES = """exit codes:
  0    delivered
  1    a promise of the library failed, or something unforeseen; --debug shows the traceback
  2    a name, an option, a value or a folder is wrong
  3    the budget cannot be reached, or not within these epochs (raise --epochs or --gate-lr)
  4    NaN or infinity; training stopped and the last good state was delivered
  5    data files are missing or damaged
  6    an optional package is missing
  7    a check of a network failed
  130  Ctrl-C; what was there was delivered"""

EXAMPLES = """examples:
  ellzero train digits
  ellzero train mnist-lenet5 --data data/mnist --budget params=0.1 --out runs/lenet5
  ellzero prune --model mine:build --data mine:loaders --budget macs=0.5
  ellzero train digits --plan-only --out runs/digits && ellzero cut runs/digits
  ellzero check mine:build
  ellzero fit lorenz --noise 0.05"""

WRITES = """what is written to --out:
  artifact/             the pruned network, for ellzero.artifacts.load
  report.json           settings, versions, sizes, widths, error, history; times under "timing"
  plan.json             widths before and after, and which channels are shut
  curves.svg            loss, error, sizes and multipliers over the epochs
  architecture.svg      widths before and after; where pixels are gated, which are read
  training.safetensors  the gated network, so that 'ellzero cut' can cut it (again)"""

TRAIN = """examples:
  ellzero train digits
  ellzero train digits --budget params=0.2 --budget macs=0.3 --epochs 50
  ellzero train mnist-lenet5 --data data/mnist --budget 'params:fc*=0.05' --seed 1
  ellzero train mnist-mlp --penalty params=1e-6 --config mlp.yaml"""

BUDGETS = """budgets and prices:
  params=0.1            at most 10 % of the parameters; also macs (multiply-adds), units (open gates)
  'params:fc*=0.1'      at most 10 % of the parameters of layers whose name matches
  a budget or a penalty on the command line replaces the one of the recipe or the config"""

CONFIG = """config, in YAML; the options' names with _ for -, overruled by the command line:
  epochs: 50
  gate_lr: 0.1
  budget: {params: 0.1, macs: {"conv*": 0.5}}"""

PRUNE = """examples:
  ellzero prune --model mine:build --data mine:loaders --budget params=0.2
  ellzero prune --model mine:build --data mine:loaders --loss mine:loss --pretrained --keep 'head*' --budget macs=0.5

your module, importable from the current folder:
  def build() -> nn.Module: ...      the network
  def loaders() -> (train, test)     iterables of (inputs, targets), e.g. DataLoaders; test may be None
  def loss(outputs, targets)         optional; mean loss, cross-entropy if not given"""

CUT = """The plan is that of plan.json, also after edits: "shut" lists what goes, group by group.

example:
  ellzero train digits --plan-only --out runs/digits     train, show the plan
  ellzero cut runs/digits                                cut, measure, report"""

FIT_CODES = """exit codes:
  0    delivered, and every check passed
  1    a promise of the library failed, or something unforeseen; --debug shows the traceback
  2    a name, an option, a value or a folder is wrong, or a budget is larger than the dictionary; nothing is written
  4    NaN or infinity: a term overflows, or the law cannot be followed; nothing is written
  5    data files, or the folder of --data, are missing or damaged; nothing is written
  6    an optional package is missing; nothing is written
  7    delivered, but the equations do not pass every check; equations.md says which
  130  Ctrl-C; nothing is written"""

FIT = """examples:
  ellzero fit lorenz --help
  ellzero fit lorenz
  ellzero fit van-der-pol --noise 0.05 --terms 0 --out runs/noisy
  ellzero fit pendulum-transition --data data --terms 12"""

FIT_WRITES = """what is written to --out:
  equations.json        the equations as data, for ellzero.dictionary.Equations.load
  equations.md          the same as text, LaTeX, Python and C, with the certificate
  report.json           settings, versions, equations, checks, figures; times under "timing"
  *.svg                 support, coefficients and error by number of terms, inclusion, motion"""

CHECK = """The network is traced, gated, cut to random plans, trained for a step, saved and loaded, exported and
compiled. A table shows its channels, with the reason where they are kept, and what each check found.

your module, importable from the current folder:
  def build() -> (network, example)  the example is a tensor, a tuple of positional or a dict of keyword arguments

examples:
  ellzero check mine:build
  ellzero check mine:network --example mine:example --keep 'head*' --skip 'compile gated'"""
