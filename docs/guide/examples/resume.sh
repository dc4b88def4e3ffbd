# The same command with two more samples; what is there already is not asked again.
qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0:6 --eps 1,2 \
    --timeout 60 --memory 2 --jobs 2 --out results --certificates --resume
