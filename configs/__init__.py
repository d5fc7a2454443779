"""One experiment per file: what it changes of base.py, which has every key."""
