"""results.jsonl: one JSON object for each query."""

import json

with open("results/results.jsonl", encoding="utf-8") as lines:
    results = [json.loads(line) for line in lines]

for result in sorted(results, key=lambda result: (result["sample"], result["eps"])):
    if result["verdict"] == "VIOLATED":
        print("sample", result["sample"], "eps", result["eps"], "label", result["label"], "certificate", result["certificate"])
