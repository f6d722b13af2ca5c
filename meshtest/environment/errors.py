"""Errors about what was asked of an environment."""


class UsageError(Exception):
    """The command line or a call asks for something that does not exist; the message says what does."""
