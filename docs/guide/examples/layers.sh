qbitsat bits digits.keras --inputs digits_images.npy --labels digits_labels.npy --eps 1 --target 0.64 --per-layer --format power-of-two:6,input=u5.4 --quiet
