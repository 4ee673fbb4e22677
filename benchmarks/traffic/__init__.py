"""Invented network traffic of any size: conversations, the pcap writer, and the truth about both.

`script` writes one conversation as turns, `mail`, `message`, `tls_bytes` and `bulk` say what is in it, `library` turns scripts into
tables of frames, `engine` interleaves millions of conversations and writes them, `truth` keeps account.
"""
