"""ctid routes the calls of an Asterisk call centre and keeps the books on them."""

__version__ = "0.1.0"
