"""Tasks, one file each: training targets, predictions and what is measured.

Each exports NAMED_BY, the fields of a data set's description that its classes come from,
and `make_task(<those fields>, *, exclusive, threshold, ...)`.
"""
