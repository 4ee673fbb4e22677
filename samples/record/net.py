"""Network namespaces, links between them, and captures of what passes; nothing here reaches a real network.

Three namespaces stand in a row: client == switch == server. The switch is `relay.py`, which forwards frames, loses or reorders some when asked,
and can copy each to a mirror port with a VLAN tag or inside ERSPAN or GRE, as a real switch does. Everything is removed at the end.
"""
from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-impacket and python3-gssapi are for
SERVER, CLIENT, SERVER6, CLIENT6 = "10.7.0.1", "10.7.0.2", "fd00:7::1", "fd00:7::2"
STRICT, BARE = "10.7.0.11", "10.7.0.12"  # the same programs, set up with TLS required and without TLS
CONTROLLER = "10.7.0.13"  # of the domain
MORE_SERVERS = tuple(f"10.7.0.{n}" for n in range(31, 46))  # one for each kind of set-up that a sample of stripped offers needs
OTHER_CLIENTS = ("10.7.0.3", "10.7.0.4")
TLS_SERVERS = tuple(f"10.7.0.{n}" for n in range(21, 29))  # one for each server of a sample, so that none seems to change its key
VXLAN_SERVER, VXLAN_CLIENT = "10.8.0.1", "10.8.0.2"
DIRECT = "10.7.1.1"  # the server on a link of its own, where its checksum and segmentation offload stay on as on a real host
SIDES = ("client", "switch", "server", "probe")
MTU = 1500
SIOCETHTOOL = 0x8946
OFFLOADS = (0x17, 0x1F, 0x24, 0x2C, 0x15)  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO, SRXCSUM


class RecordingError(Exception):
    """The machine lacks something that recording needs; the message says what."""


def run(*argv: str, **keywords) -> str:
    """Output of a command; RecordingError with what it printed when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, **keywords)
    if done.returncode:
        raise RecordingError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def need(*commands: str) -> None:
    """RecordingError naming each command that is not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/news/bin"
    missing = [command for command in commands if not shutil.which(command, path=path)]
    if missing:
        raise RecordingError("not installed: " + ", ".join(missing))


def switch_offload_off(device: str) -> None:
    """No checksum or segmentation offload on a device of the current namespace (what `ethtool -K` does)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in OFFLOADS:
            buffer = array.array("B", struct.pack("II", command, 0))
            with contextlib.suppress(OSError):  # a device need not know each of them
                request = struct.pack("16sP", device.encode(), buffer.buffer_info()[0])
                fcntl.ioctl(sock, SIOCETHTOOL, request)


class Lab:
    """The namespaces of one recording, and every process started in them."""

    def __init__(self, work: pathlib.Path):
        self.work = work
        self.processes: list[subprocess.Popen] = []
        self.name = f"pcapsec{os.getpid()}"
        self.relay: subprocess.Popen | None = None
        self.links = 0

    def __enter__(self) -> Lab:
        if os.geteuid():
            raise RecordingError("network namespaces need root; try again with sudo")
        need("ip", "tcpdump", "openssl")
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self) -> None:
        """Namespaces, links, addresses."""
        for side in SIDES:
            run("ip", "netns", "add", self.space(side))
            self.ip(side, "link", "set", "lo", "up")
        self.link("client", "eth0", "switch", "to-client")
        self.link("server", "eth0", "switch", "to-server")
        self.link("probe", "mirror", "switch", "to-probe", mtu=9000)
        self.link("client", "direct", "server", "direct")
        self.ip("server", "addr", "add", f"{DIRECT}/24", "dev", "direct")
        self.ip("client", "addr", "add", "10.7.1.2/24", "dev", "direct")
        for side, addresses in (("server", (f"{SERVER}/24", f"{STRICT}/24", f"{BARE}/24", f"{CONTROLLER}/24", *(f"{address}/24" for address in TLS_SERVERS + MORE_SERVERS), f"{SERVER6}/64")),
                                ("client", (f"{CLIENT}/24", *(f"{address}/24" for address in OTHER_CLIENTS), f"{CLIENT6}/64"))):
            for address in addresses:
                self.ip(side, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))

    def __exit__(self, *_) -> None:
        for process in reversed(self.processes):
            stop(process)
        for side in SIDES:
            for pid in subprocess.run(["ip", "netns", "pids", self.space(side)], capture_output=True, text=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)  # children of the servers above: nothing else lives in these namespaces
            subprocess.run(["ip", "netns", "del", self.space(side)], capture_output=True)

    def space(self, side: str) -> str:
        return f"{self.name}-{side}"

    def ip(self, side: str, *words: str) -> None:
        run("ip", "-n", self.space(side), *words)

    def inside(self, side: str, *argv: str) -> list[str]:
        """The command line that runs another one in a namespace."""
        return ["ip", "netns", "exec", self.space(side), *argv]

    def link(self, one: str, one_device: str, other: str, other_device: str, mtu: int = MTU) -> None:
        self.links += 1
        first, second = f"ps{os.getpid() % 100000}a{self.links}", f"ps{os.getpid() % 100000}b{self.links}"
        run("ip", "link", "add", first, "type", "veth", "peer", "name", second)
        for device, side, name in ((first, one, one_device), (second, other, other_device)):
            run("ip", "link", "set", device, "netns", self.space(side))
            self.ip(side, "link", "set", device, "name", name, "mtu", str(mtu), "up")
            if (side, name) != ("server", "direct"):
                self.no_offload(side, name)

    def no_offload(self, side: str, device: str) -> None:
        run(*self.inside(side, sys.executable, str(HERE / "net.py"), device))

    def start(self, side: str, *argv: str, **keywords) -> subprocess.Popen:
        """Start a process in a namespace; it is stopped with the lab."""
        with (self.work / "programs.log").open("a") as log:
            process = subprocess.Popen(self.inside(side, *argv), **({"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL} | keywords))
        self.processes.append(process)
        return process

    def forward(self, *options: str, program: str = "relay.py") -> None:
        """(Re)start the switch, or a program in its place, with these options."""
        self.cut()
        self.relay = self.start("switch", sys.executable, str(HERE / program), *options, stdout=subprocess.PIPE, text=True)
        if not self.relay.stdout.readline():
            raise RecordingError("the switch did not start")

    def cut(self) -> None:
        """Stop the switch: the namespace between the two sides stays, for a program that has addresses of its own there."""
        if self.relay:
            stop(self.relay)
            self.relay = None

    def client(self, *argv: str, side: str = "client", fails: bool = False, data: str | None = None, seconds: float = 30) -> str:
        """Run a client program to its end. `fails`: its exit status may be anything (a refused login is what we record)."""
        done = subprocess.run(self.inside(side, *argv), capture_output=True, text=True, input=data, timeout=seconds, cwd=self.work, errors="replace")
        if done.returncode and not fails:
            raise RecordingError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def wait_for(self, ready, what: str, seconds: float = 15) -> None:
        """Wait until a condition holds; RecordingError with what the programs said when it does not."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise RecordingError(f"{what} is not ready after {seconds} s\n" + (self.work / "programs.log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def wait_for_port(self, address: str, port: int, side: str = "server") -> None:
        """Wait until a server listens (asked of the kernel: a connection would start a child and log a line)."""
        def listening() -> bool:
            for table in ("tcp", "tcp6"):
                lines = subprocess.run(self.inside(side, "cat", f"/proc/net/{table}"), capture_output=True, text=True).stdout.splitlines()[1:]
                if any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines):
                    return True
            return False

        self.wait_for(listening, f"the server on {address} port {port}")

    @contextlib.contextmanager
    def capture(self, path: pathlib.Path, *, side: str = "server", device: str = "eth0", filter: str = "tcp", options: tuple[str, ...] = (), program: str = "tcpdump"):
        """Record what passes a device while the block runs."""
        if program == "dumpcap":
            argv = ["dumpcap", "-q", "-w", str(path), *options]
        else:
            argv = ["tcpdump", "-i", device, "--immediate-mode", "-U", "-Z", "root", "-w", str(path), *options, filter]
        process = self.start(side, *argv, stderr=subprocess.PIPE, text=True)
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening on" in line or line.startswith("File:"):
                break
        else:
            raise RecordingError("capture did not start: " + "".join(said))
        time.sleep(0.3 if program == "dumpcap" else 0.05)
        try:
            yield process
        finally:
            time.sleep(0.7 if program == "dumpcap" else 0.35)  # the last FIN and its acknowledgement
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
            self.processes.remove(process)


def stop(process: subprocess.Popen) -> None:
    """End a process of ours: politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":  # runs inside a namespace
    switch_offload_off(sys.argv[1])
