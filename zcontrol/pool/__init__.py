"""The pool: its rules, and where it is kept."""
