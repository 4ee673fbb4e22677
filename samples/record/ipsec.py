"""IPsec between client and server: strongSwan with ESP in user space where it is about IKE, scapy's IPsec where it is about bare ESP and AH. No kernel needs to know IPsec.

strongSwan's kernel-libipsec always carries ESP in UDP and whole packets in it; so mail goes between two addresses of its own behind the two hosts.
"""
from __future__ import annotations

import textwrap

import servers
from net import CLIENT, SERVER, Lab, need, stop

HIDDEN_CLIENT, HIDDEN_SERVER = "10.70.1.1", "10.70.2.1"  # ends of what the tunnel carries
KEY = "a-shared-key-for-recordings-only"
CHARON = "/usr/lib/ipsec/charon"
PLUGINS = "random nonce aes sha1 sha2 md5 hmac gmp openssl kdf gcm drbg pem pkcs1 pubkey x509 constraints kernel-libipsec kernel-netlink socket-default vici"


def hidden(lab: Lab) -> None:
    """The addresses behind the two hosts, and a Dovecot there."""
    for side, address in (("client", HIDDEN_CLIENT), ("server", HIDDEN_SERVER)):
        lab.ip(side, "addr", "add", f"{address}/32", "dev", "lo")
    servers.dovecot(lab, "hidden", [HIDDEN_SERVER])
    servers.deliver(lab, "hidden", "alice", (lab.work / "letter.txt").read_text())


def configuration(name: str, local: str, remote: str, inside: tuple[str, str], *, version: int, ike: str, esp: str, aggressive: bool) -> str:
    """swanctl.conf of one end."""
    return textwrap.dedent(f"""
        connections {{
          {name} {{
            version = {version}
            aggressive = {'yes' if aggressive else 'no'}
            local_addrs = {local}
            remote_addrs = {remote}
            proposals = {ike}
            local {{
              auth = psk
              id = {'office' if local == CLIENT else 'vpn'}.example.org
            }}
            remote {{
              auth = psk
            }}
            children {{
              mail {{
                local_ts = {inside[0]}/32
                remote_ts = {inside[1]}/32
                esp_proposals = {esp}
              }}
            }}
          }}
        }}
        secrets {{
          ike-all {{
            secret = {KEY}
          }}
        }}
        """)


class Tunnel:
    """strongSwan on both sides, up while the block runs."""

    def __init__(self, lab: Lab, name: str, *, version: int = 2, ike: str, esp: str, aggressive: bool = False):
        need("ip", "swanctl")
        self.lab, self.name, self.started = lab, name, []
        self.words = {"version": version, "ike": ike, "esp": esp, "aggressive": aggressive}

    def swanctl(self, side: str, *words: str) -> None:
        self.lab.client("swanctl", *words, "--uri", f"unix://{self.home / side}.vici", side=side)

    def __enter__(self) -> "Tunnel":
        self.home = self.lab.work / f"ipsec-{self.name}"
        self.home.mkdir()
        for side, ends, inside in (("server", (SERVER, CLIENT), (HIDDEN_SERVER, HIDDEN_CLIENT)), ("client", (CLIENT, SERVER), (HIDDEN_CLIENT, HIDDEN_SERVER))):
            (self.home / f"{side}.conf").write_text(f"charon {{\n load = {PLUGINS}\n i_dont_care_about_security_and_use_aggressive_mode_psk = yes\n install_virtual_ip = no\n"
                                                    f" plugins {{\n  vici {{\n   socket = unix://{self.home / side}.vici\n  }}\n }}\n filelog {{\n  stderr {{\n   default = 1\n  }}\n }}\n}}\n")
            (self.home / f"{side}.swanctl").write_text(configuration(self.name, *ends, inside, **self.words))
            # its file with the process id stands in /run, which each side gets for itself
            self.started.append(self.lab.start(side, "sh", "-c", f"mount -t tmpfs none /run && STRONGSWAN_CONF={self.home}/{side}.conf exec {CHARON}"))
            self.lab.wait_for((self.home / f"{side}.vici").exists, f"strongSwan of the {side}")
            self.swanctl(side, "--load-all", "--file", str(self.home / f"{side}.swanctl"))
        self.swanctl("client", "--initiate", "--child", "mail")
        return self

    def __exit__(self, *_) -> None:
        for process in self.started:
            stop(process)
            self.lab.processes.remove(process)
