# Over all inputs: what each layer's accumulators reach, and how many bits they need.
qbitsat overflow score.npz --exact
# Do they fit into 12 bits for applicants within 2 of one: income 70, debt 15, 10 years, group 0?
echo 70,15,10,0 > one.csv
qbitsat overflow score.npz --inputs one.csv --header no --eps 2 --exact --width 12
# Do they leave ap_fixed<12,8>, and those of layer 1 ten bits? Which outputs are dead, or saturate?
qbitsat overflow score.npz --each --width 'ap_fixed<12,8>,1=10' -v
# And sums on their way, where the bias comes first, as in hls4ml's layers?
qbitsat overflow score.npz --exact --order bias-first
# What if sums of 11 bits wrapped around: is the class still the same, around that applicant, and for all?
qbitsat agree score.npz --other-accumulator 11 --inputs one.csv --header no --eps 2
qbitsat agree score.npz --other-accumulator 11
# The range of each output, exactly.
qbitsat range score.npz
