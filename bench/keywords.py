"""Where do two runtimes of a keyword network part? python -m bench.keywords [--samples 9,61] [--timeout 20]

MLPerf Tiny's kws_ref_model and its recordings, TFLM against XNNPACK. For each sample the distance of the two largest outputs, then the
smallest change of a single input after which the runtimes give different classes: all changes of one input by 1 step are run, then all by
2, 4, 8 and so on, up to --most. Then whether all inputs within one step are proved to have the same class, or which one has not; the limit
is in seconds of CPU. Every witness is run in the runtimes themselves (the extra `test` has them).
"""

from __future__ import annotations

import argparse

import numpy as np

import qbitsat
from bench import cpu_clock
from bench.networks import files, inputs_of
from bench.runtimes import RUNTIMES, Replay
from qbitsat.network import Network, classify, forward
from qbitsat.properties import agreement
from qbitsat.report.observed import layer_lines, observed

NAME = "kws_ref_model"
BATCH = 49


def single_change(networks: list[Network], x: np.ndarray, most: int) -> tuple[int, np.ndarray] | None:
    """The smallest power of two, up to `most`, by which a change of one input makes classes differ, and that input; or None."""
    form, step = networks[0].input, 1
    while step <= most:
        changed = np.concatenate([x + sign * step * np.eye(len(x), dtype=np.int64) for sign in (1, -1)])
        changed = changed[((changed >= form.lo) & (changed <= form.hi)).all(axis=1)]
        first, second = (classify(network, changed, BATCH) for network in networks)
        differing = np.flatnonzero(first != second)
        if len(differing):
            return step, changed[differing[0]]
        step *= 2
    return None


def show(networks: list[Network], replay: Replay, x: np.ndarray, witness: np.ndarray) -> None:
    """What both make of a witness, once the runtimes have said the same."""
    first, second = replay.outputs(networks, witness)
    moved = np.flatnonzero(witness != x)
    where = f"at {tuple(int(i) for i in np.unravel_index(moved[0], networks[0].input.shape))[:2]}" if len(moved) == 1 else ""
    print(f"    {len(moved)} inputs changed, by {abs(witness - x).max()} at most {where}".rstrip())
    print(f"    classes {first.argmax()} and {second.argmax()}, outputs up to {abs(first - second).max()} apart")
    print("\n".join(f"    {line}" for line in layer_lines(observed(*networks, witness[None]))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="9,61", metavar="LIST")
    parser.add_argument("--most", type=int, default=8, metavar="STEPS")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S")
    args = parser.parse_args()
    cpu_clock.begin()
    networks = [qbitsat.load(files()[NAME], runtime=runtime) for runtime in RUNTIMES]
    replay, samples = Replay(files()[NAME]), [int(sample) for sample in args.samples.split(",")]
    inputs = inputs_of(NAME, networks[0], max(samples) + 1)
    for sample in samples:
        x, start = inputs[sample], cpu_clock.seconds()
        second, first = np.sort(forward(networks[0], x[None])[0])[-2:]
        found = single_change(networks, x, args.most)
        said = f"one input, changed by {found[0]}" if found else f"no single input, changed by up to {args.most} in powers of two"
        print(f"sample {sample}: largest outputs {first - second} apart; {said}  {cpu_clock.seconds() - start:.1f} s CPU", flush=True)
        if found:
            show(networks, replay, x, found[1])
        verdict = qbitsat.verify(agreement(*networks, x, 1), timeout=args.timeout)
        print(f"  within one step: {verdict.verdict} {verdict.reason}  {verdict.cpu_seconds:.1f} s CPU", flush=True)
        if verdict.witness is not None:
            show(networks, replay, x, np.array(verdict.witness.inputs[0]))


if __name__ == "__main__":
    main()
