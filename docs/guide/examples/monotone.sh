# Does approve ever fall when income (element 0), debt (1) or years (2) grows?
qbitsat monotone score.npz --grows 0:3 --outputs 1
