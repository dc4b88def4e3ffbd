qbitsat run score.npz --inputs applicants.csv
# The share of the shipped images that the shipped network gets right.
qbitsat run digits.npz --inputs digits_images.npy --labels digits_labels.npy --quiet
