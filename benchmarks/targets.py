"""The targets that the project set itself, and whether figures meet them."""
from __future__ import annotations

from dataclasses import dataclass

from measuring import Series

MEMORY_BYTES = 400_000_000
LINEAR_WITHIN = 0.15
AS_FAST_AS_SURICATA = {"mail": 1, "rpc": 1, "rpc-alter": 1, "web": 1, "tls-same": 2, "tls-distinct": 2}  # whole process, at least so many times


@dataclass(slots=True)
class Verdict:
    """PASS, SHORT, or "not measured"."""

    target: str
    word: str
    found: str


def judge(kind: str, series: dict[tuple[str, str], Series], truths: dict[str, dict], slopes: dict[str, float], startup: float | None) -> list[Verdict]:
    """A verdict per target that concerns this kind of capture.

    Args:
        series: by tool and size; truths: OUT.json by size.
        slopes: seconds per further GB between the two largest sizes of each tool.
        startup: seconds of pcapsec on a tiny capture; left out where time per GB is compared between sizes.
    """
    verdicts: list[Verdict] = []

    def size_of(item: tuple[tuple[str, str], Series]) -> int:
        return truths[item[0][1]]["bytes"]

    def of(name: str) -> list[tuple[tuple[str, str], Series]]:
        return sorted((item for item in series.items() if item[0][0] == name and not item[1].failed), key=size_of)

    def say(target: str, right: bool | None, found: str) -> None:
        verdicts.append(Verdict(target, "not measured" if right is None else "PASS" if right else "SHORT", found))

    def ratio(target: str, other: float | None, own: float | None, least: float) -> None:
        if other is None or own is None or own <= 0:
            say(target, None, "a tool or a second size is missing")
        else:
            say(target, other / own >= least, f"{other / own:.2f} times")

    own, suricata = of("pcapsec"), of("suricata")
    slope = slopes.get("pcapsec")
    both = [(item, other) for item in own for other in suricata if item[0][1] == other[0][1]]
    largest = both[-1] if both else None

    def against_suricata(target: str, least: float) -> None:
        """The whole process on the largest file that both read."""
        ratio(f"{kind}: {target}", largest[1][1].time_s if largest else None, largest[0][1].time_s if largest else None, least)

    def against_read(most: float) -> None:
        target = f"{kind}: our cost per further GB at most {most} times a plain read"
        if "read" in slopes and slope is not None:
            say(target, slope <= most * slopes["read"], f"{slope / slopes['read']:.2f} times")
        else:
            say(target, None, "read or a second size is missing")

    if kind in ("mixed", "https"):
        ratio(f"{kind}: Suricata's cost per further GB at least 5 times ours", slopes.get("suricata"), slope, 5)
    if kind == "mixed":
        ratio("mixed: tshark's cost per further GB at least 40 times ours", slopes.get("tshark"), slope, 40)
        against_read(6)
        large_enough = largest is not None and size_of(largest[0]) >= 8e9
        against_suricata("whole process at 8 GB at least 3 times as fast as Suricata" + ("" if large_enough or not largest else f" (measured at {largest[0][0][1]})"), 3)
    elif kind == "https":
        against_read(6)
    else:
        least = AS_FAST_AS_SURICATA[kind]
        against_suricata(f"at least {'as' if least == 1 else 'twice as'} fast as Suricata, whole process at the largest size", least)
    if kind == "mail":
        ratio("mail: at least as fast as Suricata per further GB", slopes.get("suricata"), slope, 1)
        ratio("mail: tshark's cost per further GB at least 8 times ours", slopes.get("tshark"), slope, 8)
        parallel = next((name for name, _size in series if name.startswith("pcapsec --jobs")), None)
        pair = of(parallel) if parallel else []
        ratio("mail: two jobs at least 1.6 times as fast as one", own[-1][1].time_s if own and pair else None, pair[-1][1].time_s if pair else None, 1.6)
    for name in dict.fromkeys(name for name, _size in series if name.startswith("pcapsec")):
        for (_tool, size), one in of(name):
            say(f"{kind}: {name} at {size} peak below 400 MB", one.peak_bytes < MEMORY_BYTES, f"{one.peak_bytes / 1e6:.0f} MB")
    if len(own) >= 2 and startup is not None:
        costs = [(one.time_s - startup) / size_of(item) * 1e9 for item in own for one in (item[1],)]
        say(f"{kind}: time per GB constant within 15 % from {own[0][0][1]} to {own[-1][0][1]} (start-up left out)",
            max(costs) / min(costs) <= 1 + LINEAR_WITHIN,
            ", ".join(f"{item[0][1]} {cost:.3f} s/GB" for item, cost in zip(own, costs)))
    else:
        say(f"{kind}: time per GB constant within 15 %", None, "a second size is missing")
    return verdicts
