# How far do the first images keep their class?
qbitsat radius digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 1:4,12 --timeout 60
# How far is class 0 from them, and no other?
qbitsat radius digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 2:4 --target 0 --timeout 60
# How many pixels have to change, each as far as it likes?
qbitsat radius digits.npz --inputs digits_images.npy --labels digits_labels.npy --samples 1:4 --norm l0 --timeout 60
