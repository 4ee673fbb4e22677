"""Run a client so that it writes its TLS keys down: `keys_clients.py SCRIPT WORD...`.

Python does so by itself where a program asks for the default context (SSLKEYLOGFILE); here each context does, as impacket makes its own.
"""
from __future__ import annotations

import os
import runpy
import ssl
import sys

PLAIN_CONTEXT = ssl.SSLContext


class KeepingContext(PLAIN_CONTEXT):
    def __new__(cls, *arguments, **keywords):
        context = super().__new__(cls, *arguments, **keywords)
        context.keylog_filename = os.environ["SSLKEYLOGFILE"]
        return context


if __name__ == "__main__":
    ssl.SSLContext = KeepingContext
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
