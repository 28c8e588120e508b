"""What the fold keeps, in slices: each has its part of the state, its summary and its trial.

A slice is what the judges of one family of kinds change. ``State`` names them all.
"""
