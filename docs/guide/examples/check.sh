qbitsat check results --network digits.npz --inputs digits_images.npy --labels digits_labels.npy \
    --samples 0:6 --eps 1,2
echo "exit code $?"
