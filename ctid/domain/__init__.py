"""Decides. Standard library only, synchronous, no clock, no logger, no input or output.

Law: every function here is a pure function of the events it was given; each event carries its own time.
"""
