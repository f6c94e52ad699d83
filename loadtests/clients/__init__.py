"""The protocols as clients speak them: one connection each, every step of it a row of locust's statistics."""
