qbitsat verify digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0:4 --eps 1,2 \
    --timeout 60 --memory 2 --jobs 2 --out results --certificates
echo "exit code $?"
ls results results/certificates
