# Can image 0, a 2, become a 1? And a 0?
qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0 --eps 1 --target 1 --quiet
qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0 --eps 1 --target 0 --quiet
