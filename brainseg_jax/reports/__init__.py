"""Reports: how each task's scores become tables and figures, one file per task.

Each exports CURVES, FIGURES, check_examples, score_names, summarise, policies, tables,
failures, draw and headline, as training and runs/report_writing.py use them, and
scores_of_patients, by which modes/compare.py compares. CURVES are scores and what to call
them; over the epochs the first two are drawn that the validation split defines. FIGURES are
files of `draw`, with what to say below them on a page.
"""
