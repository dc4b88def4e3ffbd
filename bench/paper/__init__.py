"""The experiments of TACAS 2020, "How Many Bits Does it Take to Quantize Your Neural Network?", on networks that our own scripts train:

    python -m bench.paper [table1 table2 table3 table4 fig2 fig4 variants convolution] [--samples 300] [--timeout 20] ...

Everything by default. Networks and finished runs are kept in --cache, outside the tree: a run that is killed goes on
where it was, and each table works by itself. What comes out is printed, and written to bench/results/paper.json. The extra `train` brings
TensorFlow, which trains; `smt` the solvers; Marabou is used where it is installed (maraboupy).

setting  the networks, the samples, and what a sample is asked
runs     what has been run, a line each
real     the real-valued network, bracketed by integers
marabou  the same questions to Marabou
ifgsm    the attack that the paper compares with
fairness the gaps of table 4
tables   the tables and figures
plot     Fig. 4 as a picture
"""
