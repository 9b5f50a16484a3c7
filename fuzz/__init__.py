"""Strangers' input, by the million: for each door of ctid a target that reads any bytes at all.

Law: a target is pure but for files of its own: ``seeds()`` gives what the door sees on a good day, ``one(data)`` gives
the door these bytes and asserts what must be true of it whatever they are. ``python -m fuzz`` runs them under atheris,
which looks for bytes that reach code no bytes reached before; ``tests/fuzz`` runs the same targets on hypothesis's
bytes. What was found stands as a test of its own in ``tests/fuzz/test_found.py``.
"""
