"""Crowds beside locust's users: `zproxy-load` (`core/load`), for rates that Python cannot reach.

A crowd is a process of its own here. What it says each second becomes rows of locust's statistics.
"""
