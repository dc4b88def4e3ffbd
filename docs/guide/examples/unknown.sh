qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 9 --eps 1 --timeout 0.1
echo "exit code $?"
