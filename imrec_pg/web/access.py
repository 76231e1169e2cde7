"""Who may ask: which names the server answers to, and the token where other computers can reach it."""

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

import psutil

from imrec_pg.errors import UsageError
from imrec_pg.settings import this_host

_LEAST = 16  # characters of a token that somebody chose
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must show.

    Attributes:
        hosts: names and addresses by which browsers may call the server, in small letters; any other name is one
            that somebody has pointed at this machine (DNS rebinding).
        cookie: the name of the cookie; browsers share cookies among the ports of a machine.
        token: None where no token is demanded.
    """

    hosts: frozenset[str]
    cookie: str
    token: str | None = field(repr=False)

    def knows_host(self, header: str | None) -> bool:
        """Return whether a Host header names this server."""
        return header is not None and _host_of(header) in self.hosts

    def is_token(self, given: str) -> bool:
        """Return whether it is the token; the time that takes tells nothing about it."""
        expected = "" if self.token is None else self.token
        return hmac.compare_digest(_digest(given), _digest(expected)) and self.token is not None

    def admits(self, authorization: str | None, cookies: str | None) -> bool:
        """Return whether the headers of a request hold the token, or none is demanded."""
        if self.token is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            found = SimpleCookie(cookies or "").get(self.cookie)
        except CookieError:
            return False
        return found is not None and self.is_token(found.value)


def access(host: str, port: int, token: str | None, allowed: Collection[str] = ()) -> Access:
    """Return what requests must show of a server at an address; other machines always need a token.

    Args:
        host: the address to listen on.
        port: to listen on.
        token: demanded of each request; None for none on the loopback interface, and else a random one.
        allowed: further names of this machine.

    Raises:
        UsageError: the token is too short.
    """
    if token is not None and (len(token) < _LEAST or not token.isascii() or not token.isprintable()):
        raise UsageError(f"a token has {_LEAST} characters or more, of ASCII")
    if token is not None and set(token) & set(' ";,\\'):
        raise UsageError("a token has no spaces, quotes, commas, semicolons or backslashes")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(32)
    names = {*_LOOPBACK, *(name.lower() for name in allowed)}
    if not is_loopback(host):
        names |= _own_names() if _is_any(host) else {host.lower()}
    return Access(frozenset(names), f"imrec_pg_{port}", token)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header is that of the page which a Host header asked for."""
    scheme, separator, authority = origin.partition("://")
    return bool(separator) and scheme in {"http", "https"} and authority.lower() == host.lower()


def _own_names() -> set[str]:
    addresses = {
        address.address.partition("%")[0]
        for found in psutil.net_if_addrs().values()
        for address in found
        if address.family in {socket.AF_INET, socket.AF_INET6}
    }
    name = this_host().lower()
    return addresses | {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _host_of(header: str) -> str:
    """Return the name or address in a Host header, "" where it is none."""
    header = header.lower()
    if header.startswith("["):
        inside, closed, rest = header[1:].partition("]")
        return inside if closed and _is_port(rest) else ""
    name, colon, port = header.partition(":")
    return name.removesuffix(".") if _is_port(colon + port) else ""


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and (not text[1:] or (text[1:].isascii() and text[1:].isdigit())))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
