# Two applicants, a line each; the class of both is the network's own answer: 0 declines, 1 approves.
printf '70,15,10,0\n36,14,20,1\n' > applicants.csv
qbitsat verify score.npz --inputs applicants.csv --samples 0,1 --eps 2
