"""One experiment per file: base.py and what it changes."""
