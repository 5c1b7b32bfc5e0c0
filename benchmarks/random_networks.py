"""Random networks: as many as asked for are written, traced, cut at random and judged, in one process.

    python benchmarks/random_networks.py --networks 1000
    python benchmarks/random_networks.py --first 17 --networks 1 --show

Each seed is a network of 3 to 12 random steps, with random options; one in fifty is cut as an exported graph. Verdicts:

- right: three cuts of it compute what the gated network does, and what the dense one does with zeros, on inputs of
  another batch size; they cost what was announced, and can be trained;
- kept: nothing can be gated, and the reasons are given;
- refused: tracing or pruning raises an error of this library and says why;
- wrong: something differs, and nothing is raised;
- crash: any other error;
- unfit: the network itself does not run on other batches, or blows rounding up.

What is refused, wrong or a crash is printed with its seed; at the end come the counts, and why groups are kept.
"""

import argparse
import logging
import re
import time
import warnings
from collections import Counter

import torch

from judge_random import judge_program
from networks.random_layers import LAYERS
from networks.random_networks import write
from networks.random_operations import OPERATIONS

ONE_IN = 50
"""How many networks there are to one that is exported."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--reasons", type=int, default=10, help="how many of the reasons to keep groups are printed")
    parser.add_argument("--show", action="store_true", help="print the text of each network")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("ellzero").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    start = time.perf_counter()
    for seed in range(options.first, options.first + options.networks):
        program = write(seed, LAYERS, OPERATIONS)
        if options.show:
            print(program.source)
        found = judge_program(program, seed, exported=seed % ONE_IN == 0)
        verdicts[found.verdict] += 1
        reasons.update(re.sub(r"'[^']*'|\d+", "...", reason) for reason in found.reasons)
        if found.verdict not in ("right", "kept", "unfit"):
            print(seed, found.verdict, found.why, flush=True)
    print(f"{options.networks} networks in {time.perf_counter() - start:.0f} s:", dict(verdicts.most_common()))
    for reason, count in reasons.most_common(options.reasons):
        print(f"{count:6} {reason}")


if __name__ == "__main__":
    main()
