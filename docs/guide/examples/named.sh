qbitsat range score.npz --outputs 1 --out ranges --certificates
qbitsat check ranges
