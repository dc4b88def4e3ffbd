qbitsat inspect score.npz
