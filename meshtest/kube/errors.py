"""Errors of the lowest layer, so that all above can raise and catch them."""


class DeadlineExceeded(Exception):
    """Something awaited did not come about in time; the message shows what was last seen."""


class DialError(Exception):
    """No connection into a pod."""
