qbitsat check results --network digits.npz
echo "exit code $?"
