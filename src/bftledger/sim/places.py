"""Where everybody is in a run: machines are at the places from 0 on, clients below; and the routes back to clients."""

from typing import Final

_ROUTE: Final = b"client "


def place_of(client: int) -> int:
    """The place of the client of this number, from 0 on."""
    return -1 - client


def client_at(place: int) -> int | None:
    """Which client is there; None if it is a machine's place."""
    return None if place >= 0 else -1 - place


def route_of(client: int) -> bytes:
    """What a replica calls its way back to this client."""
    return b"%s%d" % (_ROUTE, client)


def client_of(route: bytes) -> int | None:
    """The client at the end of a route; None for a traitor that asks itself."""
    return int(route.removeprefix(_ROUTE)) if route.startswith(_ROUTE) else None
