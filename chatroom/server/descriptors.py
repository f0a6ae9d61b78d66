"""The limit on file descriptors, which bounds the number of connections."""

import resource

from twisted.logger import Logger

log = Logger()

#: How many descriptors are left for logs, listening sockets, the reactor and the like.
SPARE_DESCRIPTORS = 32


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit on file descriptors, as far as the hard limit allows.

    wanted: the number of connections to make room for, 0 for as many as possible.

    Returns how many connections are possible, at most *wanted*.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_DESCRIPTORS if wanted else hard
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, soft - SPARE_DESCRIPTORS)
    if wanted <= possible and wanted:
        return wanted
    if wanted:
        log.warn(
            "At most {possible} connections, not {wanted}: this process may have {soft} "
            "descriptors. Raise the hard limit (ulimit -Hn, LimitNOFILE=) for more.",
            event="descriptors_short",
            possible=possible,
            wanted=wanted,
            soft=soft,
        )
    return possible
