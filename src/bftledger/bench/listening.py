"""Whether somebody accepts connections where clients find a replica.

Who connects before there is somebody tries again after longer and longer times, and so would measure its own patience.
"""

import asyncio
import contextlib

from bftledger.base.ids import ReplicaId
from bftledger.home.home import Home


async def listens(home: Home, replica: ReplicaId) -> bool:
    """Whether it does. Not found out of addresses other than TCP's: there, always."""
    scheme, _, address = home.config.replicas[replica].client.partition("://")
    if scheme != "tcp":
        return True
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
        return True
    return False
