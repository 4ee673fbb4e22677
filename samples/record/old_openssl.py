"""TLS as OpenSSL 0.9.8e spoke it, SSL 2.0 and export suites included: `old_openssl.py FOLDER server|client ADDRESS PORT METHOD SUITES [WORD...]`.

The library is the one of CentOS 5 that the wheel psycopg2 2.7 holds; FOLDER is where `tls.old_openssl` unpacked it, and LD_LIBRARY_PATH names it too. A server answers
until it is stopped; a client sends one line and reads one. Words: `certificate=FILE`, `key=FILE`, `dh=FILE` (DER parameters), `twice` (renegotiate), `again` (a second
connection that resumes the first).
"""
from __future__ import annotations

import ctypes
import glob
import socket
import sys

PEM, SET_TMP_DH, LINE = 1, 3, b"a1 NOOP\r\n"
POINTER = ctypes.c_void_p


class Library:
    """The functions of libssl and libcrypto that are needed; those that return pointers say so, or they would be cut to 32 bits."""

    RETURN_POINTERS = ("SSL_CTX_new", "SSL_new", "SSL_get1_session", "RSA_generate_key", "d2i_DHparams", *(f"{name}_{side}_method" for name in ("SSLv2", "SSLv3", "TLSv1", "SSLv23")
                       for side in ("server", "client")))

    def __init__(self, folder: str):
        self.crypto = ctypes.CDLL(glob.glob(f"{folder}/libcrypto*")[0], mode=ctypes.RTLD_GLOBAL)
        self.ssl = ctypes.CDLL(glob.glob(f"{folder}/libssl*")[0])
        self.ssl.SSL_library_init()
        self.ssl.SSL_load_error_strings()

    def __call__(self, name: str, *values):
        function = getattr(self.ssl if hasattr(self.ssl, name) else self.crypto, name)
        if name in self.RETURN_POINTERS:
            function.restype = POINTER
            return POINTER(function(*values))
        return function(*values)

    def wrong(self) -> str:
        buffer = ctypes.create_string_buffer(200)
        self.crypto.ERR_get_error.restype = ctypes.c_ulong
        self.crypto.ERR_error_string_n.argtypes = [ctypes.c_ulong, POINTER, ctypes.c_size_t]
        self.crypto.ERR_error_string_n(self.crypto.ERR_get_error(), buffer, 200)
        return buffer.value.decode()


def main(folder: str, role: str, address: str, port: str, method: str, suites: str, *words: str) -> None:
    call = Library(folder)
    options = dict(word.partition("=")[::2] for word in words)
    context = call("SSL_CTX_new", call(f"{method}_{role}_method"))
    if not call("SSL_CTX_set_cipher_list", context, suites.encode()):
        raise SystemExit(f"{suites}: {call.wrong()}")
    keep = []  # what C refers to must live
    if "certificate" in options:
        for use, name in (("certificate", "SSL_CTX_use_certificate_file"), ("key", "SSL_CTX_use_PrivateKey_file")):
            if call(name, context, options[use].encode(), PEM) != 1:
                raise SystemExit(f"{options[use]}: {call.wrong()}")
        keep.append(ctypes.CFUNCTYPE(POINTER, POINTER, ctypes.c_int, ctypes.c_int)(lambda _ssl, _export, _bits: call("RSA_generate_key", 512, 65537, None, None).value))
        call("SSL_CTX_set_tmp_rsa_callback", context, keep[0])
    if "dh" in options:
        with open(options["dh"], "rb") as file:
            raw = ctypes.create_string_buffer(file.read())
        place = ctypes.c_char_p(ctypes.addressof(raw))
        call("SSL_CTX_ctrl", context, SET_TMP_DH, 0, call("d2i_DHparams", None, ctypes.byref(place), len(raw) - 1))
    if role == "server":
        serve(call, context, address, int(port))
    session = None
    for _ in range(2 if "again" in options else 1):
        with socket.create_connection((address, int(port)), timeout=20) as link:
            link.settimeout(None)
            session = ask(call, context, link, session, "twice" in options)


def serve(call: Library, context, address: str, port: int) -> None:
    listener = socket.create_server((address, port))
    while True:
        link, _ = listener.accept()
        ssl = call("SSL_new", context)
        call("SSL_set_fd", ssl, link.fileno())
        if call("SSL_accept", ssl) == 1:
            buffer = ctypes.create_string_buffer(200)
            while (n := call("SSL_read", ssl, buffer, len(buffer))) > 0:
                call("SSL_write", ssl, buffer, n)
            call("SSL_shutdown", ssl)
        link.close()


def ask(call: Library, context, link: socket.socket, session, twice: bool):
    """A handshake, a line there and back, another handshake when wanted."""
    ssl = call("SSL_new", context)
    if session:
        call("SSL_set_session", ssl, session)
    call("SSL_set_fd", ssl, link.fileno())
    if call("SSL_connect", ssl) != 1:
        print(f"refused: {call.wrong()}")
        return None
    for turn in range(2 if twice else 1):
        if turn:
            call("SSL_renegotiate", ssl)
            call("SSL_do_handshake", ssl)
        call("SSL_write", ssl, LINE, len(LINE))
        call("SSL_read", ssl, ctypes.create_string_buffer(200), 200)
    session = call("SSL_get1_session", ssl)
    call("SSL_shutdown", ssl)
    return session


if __name__ == "__main__":
    main(*sys.argv[1:])
