# A float model of Keras, 64-16-10, whose input is 0 to 1; the images hold 0 to 16, which are 4 fractional bits.
cp $(python -c 'from qbitsat import examples as e; print(e.float_path())') .
qbitsat quantize digits.keras --format paper:6,3,input=u5.4 --calibration digits_images.npy --unit 1/16 --labels digits_labels.npy --out six.npz
qbitsat bits digits.keras --inputs digits_images.npy --labels digits_labels.npy --eps 1 --target 0.65 --format paper:B,input=u5.4 \
    --widths 5:9 --out widths --certificates
qbitsat check widths/8-bits --network widths/8-bits/network.npz --inputs digits_images.npy --labels digits_labels.npy --eps 1 --quiet
