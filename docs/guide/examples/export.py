"""A query as a CNF for any SAT solver: satisfiable if and only if the property is violated."""

import subprocess

from pysat.formula import CNF
from pysat.solvers import Solver

command = "qbitsat export digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 1,26 --eps 1 --format dimacs --out cnf"
subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)
for sample in (1, 26):
    with Solver("cadical195", CNF(from_file=f"cnf/sample{sample}_eps1.cnf")) as solver:
        print(f"sample {sample}:", "SATISFIABLE, violated" if solver.solve() else "UNSATISFIABLE, holds")
