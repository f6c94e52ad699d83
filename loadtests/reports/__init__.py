"""A run as a page: read what it left, draw it, compare it with another. Knows nothing of locust."""
