"""``python -m bench [PART ...]``: how fast ctid is, as ratios within one run, with the spread shown.

Law: what is compared is measured in turn (A B A B) in the same run on the same machine, so that a figure needs no fast machine
to be true. Nothing is asserted: a target that is missed is printed as it is.
"""
