"""Generated from protos/zcontrol/v1 by protos/generate.py; never edited."""
