"""Hold the steps of every runtime of TFLite against the runtime itself: python tests/run_operators.py --count 100000"""

from __future__ import annotations

import argparse

import numpy as np
from operators import CASES, check_operator
from oracles import TFLITE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="outputs of each operator and runtime")
    parser.add_argument("--operators", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--runtimes", nargs="+", choices=TFLITE, default=list(TFLITE))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for operator in arguments.operators:
        for name in arguments.runtimes:
            rng = np.random.default_rng(arguments.seed)
            outputs = differing = models = 0
            while outputs < arguments.count:
                size, wrong = check_operator(operator, name, rng, 500)
                outputs, differing, models = outputs + size, differing + wrong, models + 1
            print(f"{operator:18} {name:12} {outputs} outputs of {models} models, {differing} differ", flush=True)


if __name__ == "__main__":
    main()
