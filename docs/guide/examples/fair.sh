# One applicant at the border, in both groups.
qbitsat verify fair.toml
