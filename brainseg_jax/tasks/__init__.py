"""What differs between tasks, one file each: targets, decisions, what is measured.

Each exports NAMED_BY, the field of a data set's description that its classes come from, and
`make_task(classes, *, exclusive, threshold, ...)`.
"""
