# A line an objective; -q leaves out the inputs that attain them.
qbitsat verify indebted.toml --quiet --out found --certificates
# Of each optimum the input that attains it, and that nothing is beyond.
qbitsat check found/certificates
