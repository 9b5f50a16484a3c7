"""Where this site is: which names it answers to, and which pages' forms and sockets are its own.

Law: nothing is read from ``Host`` but whether it is ours. A name that is not ours is refused, for a stranger's name can be made
to lead here in a browser that has our pages open; an address cannot, and neither can ``localhost``.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from structlog import get_logger

#: So many strange names get a line in the log; a flood of them gets no more.
_MOST_TOLD = 20
_PORTS = {"http": 80, "https": 443}

_log = get_logger(__name__)
_told: set[str] = set()


def ours(host: str, public_url: str) -> bool:
    """Whether a ``Host`` header names this site: as people know it (``public_url``), by an address, or as localhost."""
    name = _place("http", host)
    public = urlsplit(public_url)
    return name is not None and (name[1] == public.hostname or _loopback(name[1]) or _address(name[1]))


def same_origin(connection: HTTPConnection, public_url: str) -> bool:
    """Whether the request comes from a page of this site: its ``Origin`` is that of ``public_url``. No Origin at all is no.

    Where nobody said what the public address is, it is the loopback one that is listened on, and then that one counts
    under whatever address it was reached by.
    """
    origin = connection.headers.get("origin", "")
    scheme, separator, place = origin.partition("://")
    came_from = _place(scheme, place) if separator else None
    if came_from is None:
        return _refused("origin", origin, public_url)
    public = urlsplit(public_url)
    if came_from == _place(public.scheme, public.netloc):
        return True
    if _loopback(public.hostname or "") and (server := connection.scope.get("server")):
        host, port = _plain(server[0]), server[1]
        # A page of the reader's own machine, at its own loopback address, is not ours where we are elsewhere.
        by_name = came_from[1] == host or (_loopback(came_from[1]) and _loopback(host))
        if (came_from[0], came_from[2]) == ("http", port) and by_name:
            return True
    return _refused("origin", origin, public_url)


def tell(host: str, public_url: str) -> None:
    """A line in the log about a ``Host`` that was refused."""
    _refused("host", host, public_url)


def _refused(what: str, given: str, public_url: str) -> bool:
    if given not in _told and len(_told) < _MOST_TOLD:
        _told.add(given)
        _log.warning(
            f"web.strange_{what}",
            **{what: given[:200]},
            url=public_url,
            do="if people open that address, make it [web] url; if a proxy says it, have it pass on the Host it was asked for",
        )
    return False


def _place(scheme: str, netloc: str) -> tuple[str, str, int] | None:
    """Scheme, name and port in lower case; ``None`` for what is not just these."""
    try:
        split = urlsplit(f"{scheme}://{netloc}")
        port = split.port
    except ValueError:
        return None
    scheme = split.scheme
    bare = not set("@/?#\\") & set(netloc)
    if scheme not in _PORTS or not split.hostname or not bare:
        return None
    return scheme, split.hostname, port or _PORTS[scheme]


def _loopback(name: str) -> bool:
    return name == "localhost" or (_address(name) and ip_address(name).is_loopback)


def _plain(host: str) -> str:
    """An IPv4 address as such, also where it came in by IPv6."""
    found = ip_address(host) if _address(host) else None
    return str(getattr(found, "ipv4_mapped", None) or host)


def _address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
