"""What a run leaves: a directory of its own with `run.json`, what it was and how it went, and `samples.jsonl`.

Whoever reads them needs no locust.
"""
