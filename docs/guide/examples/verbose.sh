qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 4 --eps 1 --verbose
