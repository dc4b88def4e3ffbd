# A line an objective; --quiet leaves out the inputs that attain them.
qbitsat verify indebted.toml --quiet
