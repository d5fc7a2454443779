"""How each task's scores become numbers, tables and pictures: one file per task.

Each exports CURVES, score_names, check, summarise, policies, tables, draw and
headline, as brainseg_jax/train.py and brainseg_jax/evaluate.py use them.
"""
