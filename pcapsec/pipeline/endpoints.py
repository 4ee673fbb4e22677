"""Which RPC interface is reached at which address and port, as the capture tells: for connections whose own bind was not seen.

Two sources: what an endpoint mapper answered, and binds that other connections made to the same port. Both may come later in the capture than the
connection that needs them, so such a session waits until the end.
"""
from __future__ import annotations

from ..records import RpcContext, Session
from .services import rpc_service, sureness

MAX_KNOWN = 65_536  # server address and port; an endpoint mapper's full listing has some hundreds
MAX_INTERFACES = 16  # of one port
MAX_WAITING = 4096  # sessions held back for the end


class Endpoints:
    """What was learnt of RPC ports, and the sessions that wait for it."""

    def __init__(self):
        self.known: dict[tuple[str, int], dict[str, tuple[str | None, str | None, str]]] = {}  # -> uuid -> name, version, source
        self.waiting: list[Session] = []

    def learn(self, session: Session) -> None:
        """Note what a session says of ports, its own and those that its endpoint mapper named."""
        for rpc in session.facts.rpc or ():
            for endpoint in rpc.endpoints:
                if endpoint.port and endpoint.protocol == "ncacn_ip_tcp":
                    self._note(session.server_ip, endpoint.port, endpoint.interface_uuid, endpoint.interface, endpoint.interface_version, "epm")
                    if endpoint.address and endpoint.address not in ("0.0.0.0", "::", session.server_ip):
                        self._note(endpoint.address, endpoint.port, endpoint.interface_uuid, endpoint.interface, endpoint.interface_version, "epm")
            if session.protocol == "dcerpc":
                for context in rpc.contexts:
                    if context.interface_uuid is not None and context.interface_source == "bind" and context.accepted is not False:
                        self._note(session.server_ip, session.server_port, context.interface_uuid, context.interface, context.interface_version, "port")

    def _note(self, address: str, port: int, uuid: str, name: str | None, version: str | None, source: str) -> None:
        here = self.known.get((address, port))
        if here is None:
            if len(self.known) >= MAX_KNOWN:
                return
            here = self.known[(address, port)] = {}
        if len(here) < MAX_INTERFACES and (uuid not in here or source == "epm"):
            here[uuid] = (name, version, source)

    def merge(self, other: "Endpoints") -> None:
        """Add what another worker learnt."""
        for (address, port), interfaces in other.known.items():
            for uuid, (name, version, source) in interfaces.items():
                self._note(address, port, uuid, name, version, source)
        self.waiting += other.waiting

    def holds(self, session: Session) -> bool:
        """Whether a session waits for what others tell; it is taken when it does."""
        if session.protocol != "dcerpc" or len(self.waiting) >= MAX_WAITING or not any(_unnamed(context) for rpc in session.facts.rpc or () for context in rpc.contexts):
            return False
        self.waiting.append(session)
        return True

    def settle(self) -> list[Session]:
        """The sessions that waited, with the interfaces that can be told."""
        waited, self.waiting = self.waiting, []
        for session in waited:
            here = self.known.get((session.server_ip, session.server_port), {})
            if len(here) != 1:  # several interfaces share the port: nobody can tell which one a context is
                continue
            ((uuid, (name, version, source)),) = here.items()
            for rpc in session.facts.rpc:
                for context in rpc.contexts:
                    if _unnamed(context):
                        context.interface_uuid, context.interface, context.interface_version, context.interface_source = uuid, name, version, source
            session.service, session.service_source = rpc_service(session.facts)
            session.service_confidence = sureness(session.service_source, None)
        return waited


def _unnamed(context: RpcContext) -> bool:
    return context.interface_uuid is None
