"""Errors that a test author can meet, in families by what can be done about them."""


class MeshtestError(Exception):
    """Base of all errors that meshtest raises on purpose."""


class AuthorError(MeshtestError):
    """The test itself is wrong: fix it at the line that the message names. Retrying never helps."""


class LaneError(AuthorError):
    """A config object would reach outside the lane of the test's worker."""


class ConfigError(MeshtestError):
    """The cluster or the mesh did not take a config plan."""


class NotRejected(ConfigError):
    """An object that was expected to be refused was taken, or refused for another reason."""


class NotSettled(ConfigError):
    """The mesh did not bring a change to every proxy concerned before the deadline, or a proxy refused it."""


class CleanupError(MeshtestError):
    """Something that a scope tracked could not be put back."""


class Unsupported(MeshtestError):
    """A requirement that this environment or mesh does not meet; the plugin turns it into a skip with this reason."""
