"""How each task's scores become numbers, tables and pictures: one file per task.

Each exports CURVES, check, summarise, policies, tables, draw and headline, as
modes/train.py and modes/evaluate.py use them.
"""
