"""What a result of `scale.py` says of its configuration, and of what in it is measured and what is modelled."""

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from bftledger.bench.scale_timeouts import USUAL

MEASURED = (
    "every frame, by kind; processor time of each round of each replica (real engine, Ed25519, SQLite with "
    "synchronous=FULL) and of the clients' program; receipts, each verified; in processes everything"
)
MODELLED = (
    "when frames arrive (delay, bandwidth); the transport's processor time (so much per frame and KiB, measured "
    "beforehand, at either end); the wait for the disk (the same for each durable commit, measured beforehand); who "
    "has a core when (rounds are not interrupted; with a core each the clients' work takes no time and loses no frame)"
)


def scale_config(options: Namespace) -> dict[str, Any]:
    """The `config` of the result of these options."""
    return {
        "replicas": options.replicas,
        "batches": options.batch,
        "blocks": options.blocks,
        "in_flight": options.in_flight,
        "processes": options.processes,
        "parts": options.parts,
        "clients": options.clients,
        "size": options.size,
        "delay_ms": options.delay_ms,
        "mbit": options.mbit or "no limit",
        "cores_shared": options.cores,
        "stores": "of virtual time: " + ("in a temporary directory" if options.stores is None else str(options.stores)),
        "delay_shared": "none: all are on one machine, and the clients with them",
        "seconds": options.seconds,
        "warmup_s": options.warmup,
        "timeout_s": options.timeout,
        "request_timeout_ms": options.request_timeout_ms or "as in protocol; where that does not fit, times n/4",
        "measured": MEASURED,
        "modelled": MODELLED,
        "protocol": asdict(USUAL),
    }
