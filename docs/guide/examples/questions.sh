# It holds, and 0 is the exit code.
qbitsat verify threshold.toml
# The same question as a CNF for any SAT solver: satisfiable if some applicant breaks it.
qbitsat export threshold.toml --out threshold.cnf
# Another network by the name that the question has for it.
qbitsat verify threshold.toml --network score=score.npz
