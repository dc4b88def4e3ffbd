qbitsat verify top3.toml
qbitsat verify trigger.toml
