# The shipped network, 50 images of 8 x 8 pixels and their labels, copied into this folder.
cp $(python -c 'from qbitsat import examples as e; print(e.network_path(), e.images_path(), e.labels_path())') .
ls
