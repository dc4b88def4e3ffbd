# An int8 network as TensorFlow converts it, 8 x 8 pixels as real values from 0 to 1. The images hold 0 to 16: a step of its input is 16/255 of theirs.
cp $(python -c 'from qbitsat import examples as e; print(e.tflite_path())') .
qbitsat inspect digits.tflite
qbitsat run digits.tflite --inputs digits_images.npy --labels digits_labels.npy --scale 16/255 --quiet
qbitsat verify digits.tflite --inputs digits_images.npy --labels digits_labels.npy --scale 16/255 --samples 0:4 --eps 12,24 \
    --out proved --certificates
qbitsat check proved --network digits.tflite --inputs digits_images.npy --labels digits_labels.npy --scale 16/255 --samples 0:4 --eps 12,24
