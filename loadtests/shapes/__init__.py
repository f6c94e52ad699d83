"""Load shapes: how many are there at what time, and what happens meanwhile. A profile names one and sets it."""
