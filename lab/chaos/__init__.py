"""Faults with calls under way, counted at the end: ``python -m lab.chaos``.

Law: a round is one site, one stream of calls and one fault; what it cost is counted from outside (`lab.counting`), and the same
seed places the same calls and breaks the same thing.
"""
