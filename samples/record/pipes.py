"""An SMB server of impacket's whose pipe `exchange` leads to the DCE/RPC server of `exchange.py`: `pipes.py ADDRESS`. Runs in the server's namespace with Debian's Python."""
from __future__ import annotations

import sys

from impacket import ntlm
from impacket.smbserver import SimpleSMBServer
from servers import ACCOUNTS

server = SimpleSMBServer(listenAddress=sys.argv[1], listenPort=445)
server.setSMB2Support(True)
server.addCredential("alice", 1000, ntlm.compute_lmhash(ACCOUNTS["alice"]).hex(), ntlm.compute_nthash(ACCOUNTS["alice"]).hex())
server.registerNamedPipe("exchange", (sys.argv[1], 49701))
server.start()
