"""Host names in configuration: short names, wildcards, which of two patterns is the more specific."""


def resolve(host: str, namespace: str, domain: str) -> str:
    """The full name of a host as an object in `namespace` writes it: a name without dots is a service beside it.

    `domain` is the cluster's. Names with a dot, wildcards and addresses stay as they are.
    """
    host = host.removesuffix(".")
    if "." in host or ":" in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.svc.{domain}"


def matches(pattern: str, host: str) -> bool:
    """Whether a host, itself without wildcard, is one that the pattern stands for."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1


def specificity(pattern: str) -> tuple[bool, int]:
    """Sorts patterns: the greater, the more specific. A full name beats a wildcard, a longer wildcard a shorter one."""
    return not pattern.startswith("*"), len(pattern)
