# The shipped network and a copy of its file: the same outputs for two images as they are.
cp digits.npz copy.npz
qbitsat agree digits.npz copy.npz --inputs digits_images.npy --samples 0,1 --within 0
# And for all images.
qbitsat agree digits.npz copy.npz --within 0
