# The shipped network and a copy of its file: the same outputs for two images as they are.
cp digits.npz copy.npz
qbitsat agree digits.npz copy.npz --inputs digits_images.npy --samples 0,1 --eps 0 --within 0
