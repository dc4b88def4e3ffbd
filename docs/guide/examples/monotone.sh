# Does approve (output 1) fall when income (element 0), debt (1) or years (2) grows, for applicants within 3 of this one?
echo 70,15,10,0 > one.csv
qbitsat monotone score.npz --inputs one.csv --header no --eps 3 --grows 0:3 --outputs 1
