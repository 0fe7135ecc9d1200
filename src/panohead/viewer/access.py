"""Who may connect to the viewer: rules on hosts, tokens and pages, as functions of a request's path and headers."""

import hmac
import http.cookies
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from panohead.errors import PanoHeadError, UsageError

MIN_TOKEN_LENGTH = 16
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_PAGES = ("/", "/index.html")


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_access(host: str, token: str | None) -> None:
    """Refuse an address that others reach without a token.

    Raises:
        UsageError: naming the reason and the remedy.
    """
    if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isalnum()):
        raise UsageError(
            f"--token is too easy to guess or has other signs than letters and digits; give {MIN_TOKEN_LENGTH} or more "
            f"of them, for example {secrets.token_hex(16)}"
        )
    if token is None and not is_loopback(host):
        raise UsageError(
            f"with --host {host} everyone on the network could use this machine and upload files to it; give --token "
            f"too, for example --token {secrets.token_hex(16)}, or leave --host out and come in by SSH (ssh -L)"
        )


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on.

    Raises:
        PanoHeadError: naming the remedy.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PanoHeadError(
            f"cannot listen on {host}, port {port} ({reason}); give another --port (0 for any free one) or --host"
        ) from error


@dataclass(frozen=True)
class AccessRefusal:
    """Answer to a request instead of the page: HTTP status, further headers and a sentence."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class Gate:
    """Rules of one running viewer.

    Every request names the host it was sent to: without a token this must be a local name, or a page elsewhere could
    rebind its own name to this machine. A browser names the page that opens a websocket: it must be our own. With a
    token the first address carries it, answered by a cookie that only this server knows; all else needs the cookie.

    Args:
        host: address that is listened on.
        token: token of the first address; None for none.
    """

    def __init__(self, host: str, token: str | None) -> None:
        self._names = (*_LOCAL_NAMES, host.lower())
        self._token = token
        self._session = secrets.token_urlsafe(24)

    def refusal(self, path: str, headers: Mapping[str, str], port: int) -> AccessRefusal | None:
        """Return the answer to a request that does not get the page or a websocket; None for one that does.

        Args:
            path: of the request, with its query.
            headers: names in lower case.
            port: port that is listened on.
        """
        host, name = _parts(f"//{headers.get('host', '')}")
        if self._token is None and name not in self._names:
            return AccessRefusal(421, "This viewer answers to its own address only.")
        origin = headers.get("origin")
        is_websocket = headers.get("upgrade", "").lower() == "websocket"
        if is_websocket and origin is not None and _parts(origin)[0] != host:
            return AccessRefusal(403, "This viewer is not open to other pages.")
        location, _, query = path.partition("?")
        if location not in _PAGES:
            return AccessRefusal(404, "There is nothing here.")
        if self._token is None or self._has_session(headers, port):
            return None
        return self._by_token(query, port)

    def _has_session(self, headers: Mapping[str, str], port: int) -> bool:
        try:
            cookies = http.cookies.SimpleCookie(headers.get("cookie", ""))
        except http.cookies.CookieError:
            return False
        found = cookies.get(_cookie_name(port))
        return found is not None and hmac.compare_digest(found.value.encode(), self._session.encode())

    def _by_token(self, query: str, port: int) -> AccessRefusal:
        assert self._token is not None
        try:
            given = parse_qs(query, max_num_fields=8).get("token", [""])[0]
        except ValueError:
            given = ""
        if not hmac.compare_digest(given.encode(errors="replace"), self._token.encode()):
            return AccessRefusal(403, "This viewer needs its token: open the address that 'panohead view' printed.")
        # The page's address then no longer shows the token.
        cookie = f"{_cookie_name(port)}={self._session}; Path=/; HttpOnly; SameSite=Lax"
        return AccessRefusal(303, "", {"Location": "/", "Set-Cookie": cookie})


def _cookie_name(port: int) -> str:
    return f"panohead_{port}"


def _parts(address: str) -> tuple[str, str]:
    """Return host with port, and host alone, of an address; two empty texts for what is none."""
    try:
        parts = urlsplit(address)
        return parts.netloc.lower(), (parts.hostname or "").lower()
    except ValueError:
        return "", ""
