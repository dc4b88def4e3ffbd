# It holds, and 0 is the exit code; the proof goes to a file.
qbitsat verify threshold.toml --out found --certificates
qbitsat check found/certificates
# The same question for any SAT solver: satisfiable if some applicant breaks it.
qbitsat export threshold.toml --no-bounds --out threshold.cnf
# Another network by the name that the question has for it.
qbitsat verify threshold.toml --network score=score.npz
