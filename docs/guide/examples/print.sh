# The question of a command as a file, to be changed, kept, or given to others.
echo 70,15,10,0 > one.csv
qbitsat agree score.npz score.npz --inputs one.csv --header no --eps 1 --within 0 --print > same.toml
cat same.toml
qbitsat verify same.toml
