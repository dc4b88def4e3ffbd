# Only the 3 x 3 pixels in the middle move.
qbitsat verify digits.tflite --inputs digits_images.npy --labels digits_labels.npy --scale 16/255 --samples 0:4 --eps 40 --region '[3:6, 3:6]'
