"""hls4ml's own layers over AMD's headers, both in its package: types in C++, and programs of them, compiled and run."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np

from qbitsat.quantize.numbers import AP_OVERFLOWS, AP_ROUNDINGS

HEAD = """
#include <cstdio>
#include "ap_fixed.h"
#include "nnet_utils/nnet_dense_latency.h"
#include "nnet_utils/nnet_activation.h"
#include "nnet_utils/nnet_pooling.h"
"""


def ap(rng: np.random.Generator, low: int = 3, high: int = 12, signed: bool = True) -> str:
    """A type of from `low` to `high` - 1 bits."""
    bits = int(rng.integers(low, high))
    modes = rng.choice(list(AP_ROUNDINGS)), rng.choice(list(AP_OVERFLOWS))
    return f"ap_{'' if signed else 'u'}fixed<{bits},{rng.integers(0, bits)},{modes[0]},{modes[1]}>"


def in_cpp(text: str) -> str:
    name, _, rest = text.partition("<")
    bits, whole, *modes = rest.strip(">").split(",")
    return f"{name}<{', '.join([bits, whole, *(f'AP_{mode}' for mode in modes)])}>"


def outputs(folder: Path, cases: list[str]) -> list[np.ndarray]:
    """What each case prints: integers, a sample a line. A case is the body of a namespace with a function run()."""
    parts = [f"namespace case{k} {{\n{body}\n}}" for k, body in enumerate(cases)]
    calls = "\n".join(f'  case{k}::run(); puts("end");' for k in range(len(cases)))
    source, program = folder / "cases.cpp", folder / "cases"
    source.write_text("\n".join([HEAD, *parts, f"int main() {{\n{calls}\n  return 0;\n}}\n"]))
    templates = Path(importlib.util.find_spec("hls4ml").submodule_search_locations[0]) / "templates" / "vivado"
    command = ["g++", "-std=c++14", "-w", "-O0", f"-I{templates}", f"-I{templates / 'ap_types'}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=60).stdout
    return [np.array([line.split() for line in part.splitlines()], np.int64) for part in printed.split("end\n")[:-1]]


def samples(x: np.ndarray, step: float, call: str, out: str, size: int, unit: float) -> str:
    """run() of a case: each row of x, in so many steps, is v0 of type t0; prints `size` numbers of `out`, which `call` makes, in units."""
    rows = ",\n".join("{" + ", ".join(map(str, row)) + "}" for row in x.tolist())
    return f"""
  void run() {{
    static const long samples[][{x.shape[1]}] = {{{rows}}};
    for (auto &row : samples) {{
      t0 v0[{x.shape[1]}];
      for (int i = 0; i < {x.shape[1]}; i++) v0[i] = row[i] * {step!r};
      {call}
      for (int i = 0; i < {size}; i++) printf("%ld ", (long)({out}[i].to_double() / {unit!r}));
      printf("\\n");
    }}
  }}"""
