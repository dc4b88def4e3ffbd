# A float model of Keras, whose input is 0 to 1; the images hold 0 to 16, which are 4 fractional bits.
cp $(python -c 'from qbitsat import examples as e; print(e.float_path(), e.images_path(), e.labels_path())') .
qbitsat bits digits.keras --inputs digits_images.npy --labels digits_labels.npy --samples 0:20 --eps 1 --target 0.7 \
    --format paper:B,input=u5.4 --widths 4:9 --out digits --certificates --quiet
qbitsat check digits/7-bits --network digits/7-bits/network.npz --inputs digits_images.npy --labels digits_labels.npy --samples 0:20 --eps 1 --quiet
