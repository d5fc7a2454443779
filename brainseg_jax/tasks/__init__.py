"""Tasks, one file each: training targets, predictions and what is measured.

Each exports NAMED_BY, the field of a data set's description that its classes come from, and
`make_task(classes, *, exclusive, threshold, ...)`.
"""
