"""A recording as text: who said what to whom and when, one line for each message of a step, its receivers joined.

The format of the golden transcripts, with milliseconds to three places, and a word wherever all is not well:

         12.034 LIE 0: PRE-PREPARE v0 n1 [put a 1] -> 1,2; lost on the way: 3

The time is when the message left. A lie is what an honest replica would not have sent, there or at all. Clients are
called as such, in front of the colon and behind the arrow:

         12.034 client 0: SUBMIT r0 put a 1 -> 2
         16.034 LIE 2: REFUSED r0 code 64: it is not wanted here -> client 0
"""

from collections.abc import Iterator

from bftledger.apps.load import load_machine
from bftledger.base.errors import Malformed
from bftledger.base.ids import ReplicaId
from bftledger.sim.describe import clean, signer
from bftledger.sim.dialogue import Dialogue
from bftledger.sim.places import client_at
from bftledger.sim.recording import Happening, Recording, Sending
from bftledger.sim.subject import US_PER_MS, Subject


def transcript(subject: Subject, recording: Recording) -> str:
    """The whole run, its outcome last. Raises `OperatorError` if the group's application is not installed."""
    describer = describer_of(subject)
    lines = [f"{subject.title}: {subject.cast}", "milliseconds, replica: what it does -> to whom", ""]
    lines += _lines(recording, describer)
    lines += ["", *(f"== {clean(sentence)}" for sentence in subject.outcome)]
    return "\n".join(lines).rstrip() + "\n"


def describer_of(subject: Subject) -> Dialogue:
    """What puts a run's messages into words, one after the other as they were sent.

    Raises `OperatorError` if the group's application is not installed.
    """
    genesis = subject.genesis
    machine = load_machine(genesis.app, genesis.app_params)

    def show(payload: bytes) -> str:
        words = machine.show(payload)
        is_text = all(0x20 <= byte < 0x7F for byte in payload)
        return f"“{payload.decode()}”" if words.startswith("(") and is_text else words  # what is no operation

    return Dialogue(genesis, machine, subject.verifier, show, subject.cores)


def said(describer: Dialogue, sending: Sending) -> str:
    """What a frame says, and whose message it is if not its sender's own."""
    if sending.client is not None:
        return _said_with_client(describer, sending, sending.client)
    message = describer.read(sending.frame)
    if isinstance(message, Malformed):
        return _garbage(sending, message)
    line = describer.describe(message)
    named = signer(message)
    if named is None or named == describer.identity(ReplicaId(sending.source)):
        return line
    return f"in {named}'s name: {line}" if sending.is_lie else f"passes on {named}'s {line}"


def _said_with_client(describer: Dialogue, sending: Sending, client: int) -> str:
    if sending.source < 0:
        request = describer.read_request(client, sending.frame)
        return _garbage(sending, request) if isinstance(request, Malformed) else describer.request(request)
    reply = describer.read_reply(sending.frame)
    return _garbage(sending, reply) if isinstance(reply, Malformed) else describer.reply(client, reply)


def _garbage(sending: Sending, error: Malformed) -> str:
    start = sending.frame[:8].hex()
    return f"GARBAGE of {len(sending.frame)} bytes, {start}{'…' * (len(sending.frame) > 8)}: {clean(str(error))}"


def who(place: int) -> str:
    """What is there: a replica by its number, or a client."""
    client = client_at(place)
    return str(place) if client is None else f"client {client}"


def _lines(recording: Recording, describer: Dialogue) -> Iterator[str]:
    step: list[Sending] = []
    for event in recording.events:
        if step and (isinstance(event, Happening) or (event.at, event.source) != (step[0].at, step[0].source)):
            yield from _step(step, describer)
            step = []
        if isinstance(event, Happening):
            where = "*" if event.replica is None else f"{event.replica}:"
            yield f"{_ms(event.at)} {where} {clean(event.text.removeprefix(f'replica {event.replica} '))}"
        else:
            step.append(event)
    yield from _step(step, describer)


def _step(step: list[Sending], describer: Dialogue) -> Iterator[str]:
    """What one replica or client sends at one moment: equal messages share a line, in the order of the first."""
    by_frame: dict[tuple[bytes, bool, int | None], list[Sending]] = {}
    for sending in step:
        by_frame.setdefault((sending.frame, sending.is_lie, sending.client), []).append(sending)
    for alike in by_frame.values():
        first = alike[0]
        lie = "LIE " if first.is_lie else ""
        yield f"{_ms(first.at)} {lie}{who(first.source)}: {said(describer, first)} -> {_receivers(alike)}"


def _receivers(alike: list[Sending]) -> str:
    copies: dict[int, int] = {}
    fates: dict[str, list[str]] = {}
    for sending in alike:
        if sending.fate is None:
            copies[sending.to] = copies.get(sending.to, 0) + len(sending.arrives)
        else:
            fates.setdefault(sending.fate.value, []).append(who(sending.to))
    reached = [f"{who(to)}{'' if count == 1 else f'({count} times)'}" for to, count in copies.items()]
    parts = [",".join(reached)] if reached else []
    return "; ".join([*parts, *(f"{fate}: {','.join(to)}" for fate, to in fates.items())])


def _ms(at: int) -> str:
    return f"{at // US_PER_MS:6}.{at % US_PER_MS:03}"
