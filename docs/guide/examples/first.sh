qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0:4,12 --eps 1
echo "exit code $?"
