# SPDX-License-Identifier: BSD-3-Clause
"""The report of a run on a network card: hardware to build again, published figures beside ours, and on every file of
an emulated card that it is one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import markupsafe
import pytest

from harness.errors import UsageError
from harness.report import write_comparison, write_report
from harness.report.report import loaded, terminal_lines
from harness.tests.fixtures import synthetic
from harness.tests.fixtures import synthetic_nic
from harness.tests.fixtures import synthetic_own
from harness.tests.report.test_report import Page, contents

BANNER = "EMULATED NIC (QEMU's e1000e): not hardware"
MARK = BANNER.encode()


def written(tmp_path: Path, *published: str, **made: Any) -> tuple[Page, Path]:
    out = tmp_path / "out"
    write_report(synthetic_nic.write(tmp_path / "run", **made), out, published)
    return Page((out / "report.html").read_text()), out


def marked(out: Path, name: str, banner: str = BANNER) -> bool:
    """Is a file of a report labelled? A chart has its text drawn, and beside it as a comment."""
    data = (out / name).read_text()
    match Path(name).suffix:
        case ".svg":
            return f">{banner}</text>" in data
        case ".html":
            return f'<p class="emulated">{markupsafe.escape(banner)}</p>' in data
        case ".md":
            return data.splitlines()[0] == f"**{banner}**"
    raise AssertionError(f"no rule for {name}")


def test_every_file_of_an_emulated_nic_says_so(tmp_path: Path) -> None:
    page, out = written(tmp_path)
    names = sorted(path.name for path in out.iterdir())
    charts = [name for name in names if name.endswith(".svg")]
    assert charts == ["cpu.svg", "cycles.svg", "efficiency.svg", "gain.svg", "latency.svg", "throughput.svg"]
    for name in (*charts, "report.html", "summary.md"):
        assert marked(out, name), name
    assert json.loads((out / "summary.json").read_text())["emulated"] == "QEMU's e1000e"
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert len(rows) == 8 and {row["emulated"] for row in rows} == {"QEMU's e1000e"}
    assert set(names) == {*charts, *(name.replace("svg", "png") for name in charts), "report.html", "summary.csv",
                          "summary.json", "summary.md"}, "a file without a rule here"


@pytest.mark.png
def test_pictures_differ_by_the_label_also_as_png(tmp_path: Path) -> None:
    _, emulated = written(tmp_path / "a", run="same")
    _, real = written(tmp_path / "b", run="same", emulated="")
    for path in real.glob("*.png"):
        assert path.read_bytes() != (emulated / path.name).read_bytes(), path.name


def test_the_label_is_the_first_thing_on_the_page_and_in_every_headline(tmp_path: Path) -> None:
    page, out = written(tmp_path)
    body = page.text[page.text.index("}", page.text.rindex("h2 { break-after")):]
    assert body.index(BANNER) < body.index("lwIP on DPDK (net_tap) against")
    assert f"{BANNER}. lwIP on DPDK (net_tap) against kernel TCP (epoll): 0.3" in page.text
    assert "emulated-nic" in [note.code for note in loaded(tmp_path / "run")[1].caveats]
    assert terminal_lines(*loaded(tmp_path / "run"))[0] == BANNER


def test_hardware_is_labelled_nowhere(tmp_path: Path) -> None:
    page, out = written(tmp_path, emulated="")
    assert not any(b"EMULATED" in data or b"emulated" in data.replace(b"emulated: ", b"")
                   for data in contents(out).values())
    assert "emulated" not in next(csv.reader((out / "summary.csv").open()))


def test_the_label_of_a_record_alone_is_enough(tmp_path: Path) -> None:
    run = synthetic_nic.write(tmp_path / "run")
    facts = json.loads((run / "facts.json").read_text())
    del facts["wire"]["emulated"]
    (run / "facts.json").write_text(json.dumps(facts))
    write_report(run, tmp_path / "out")
    assert marked(tmp_path / "out", "summary.md") and marked(tmp_path / "out", "gain.svg")


def test_one_contender_and_an_ablation_are_labelled_too(tmp_path: Path) -> None:
    _, out = written(tmp_path / "lone", contenders=("lwip",))
    assert f"**{BANNER}. lwIP on DPDK (net_tap)" in (out / "summary.md").read_text()
    run = synthetic_own.climb(tmp_path / "climb")
    facts = json.loads((run / "facts.json").read_text())
    facts["wire"]["emulated"] = "QEMU's e1000e"
    (run / "facts.json").write_text(json.dumps(facts))
    write_report(run, tmp_path / "out")
    for name in ("waterfall.svg", "report.html", "summary.md"):
        assert marked(tmp_path / "out", name), name


def test_a_sweep_with_our_generator_is_labelled_too(tmp_path: Path) -> None:
    run = synthetic_own.scale(tmp_path / "scale")
    facts = json.loads((run / "facts.json").read_text())
    facts["wire"]["emulated"] = "QEMU's e1000e"
    (run / "facts.json").write_text(json.dumps(facts))
    write_report(run, tmp_path / "out")
    assert all(marked(tmp_path / "out", path.name) for path in (tmp_path / "out").glob("*.svg"))
    assert (tmp_path / "out" / "cycles.svg").exists()


def test_a_comparison_names_the_runs_that_are_emulated(tmp_path: Path) -> None:
    runs = [synthetic_nic.write(tmp_path / "a", run="a"), synthetic_nic.write(tmp_path / "b", run="b", emulated="")]
    write_comparison(runs, tmp_path / "out")
    banner = "EMULATED NIC in a (QEMU's e1000e): not hardware"
    for name in ("throughput.svg", "gain.svg", "compare.html", "compare.md"):
        assert marked(tmp_path / "out", name, banner), name
    assert ">a (emulated): lwip</text>" in (tmp_path / "out" / "throughput.svg").read_text()
    assert ">b: lwip</text>" in (tmp_path / "out" / "throughput.svg").read_text()
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert {(row["run"], row["emulated"]) for row in rows} == {("a", "QEMU's e1000e"), ("b", "")}


def test_a_comparison_of_emulated_runs_only_and_of_none(tmp_path: Path) -> None:
    runs = [synthetic_nic.write(tmp_path / name, run=name, emulated=what)
            for name, what in (("a", "QEMU's e1000e"), ("b", "paravirtual virtio-net"), ("c", ""), ("d", ""))]
    write_comparison(runs[:2], tmp_path / "marked")
    assert marked(tmp_path / "marked", "compare.md",
                  "EMULATED NIC (QEMU's e1000e and paravirtual virtio-net): not hardware")
    write_comparison(runs[2:], tmp_path / "none")
    assert not any(b"emulated" in data.lower() for data in contents(tmp_path / "none").values())


def test_a_reader_can_build_the_hardware_again(tmp_path: Path) -> None:
    page, out = written(tmp_path, emulated="")
    text = page.text
    for part in ("bios.version 2.4", "smt off", "turbo no", "c_states.enabled POLL, C1", "hypervisor none",
                 "NUMA node 0 CPUs 0-7; memory 1024 KiB; hugepages at the start: 96 of 2048 KiB, unknown of 1048576 "
                 "KiB",
                 "The server's NIC", "name Intel Corporation 82599ES", "firmware 0x800003df", "pcie.width 8",
                 "The client's NIC", "the server's end speed mbps: 10000; duplex: Full; port: Direct Attach Copper",
                 "module.part: DAC-2M", "between the ends not known",
                 "lwIP's driver vfio-pci (vfio-pci behind an IOMMU)",
                 "the kernel's driver ixgbe", "changes of driver 3, 8.8 s in all, the longest 3.2 s",
                 "CPU governor performance performance no change of frequency",
                 "rings rx: 1024 not known the driver refused | Invalid argument"):
        assert part in text, part
    brief = (out / "summary.md").read_text()
    assert "- Host: A Maker Server 9000, A made-up CPU, BIOS 2.4 of 01/02/2024." in brief
    assert "- The server's NIC: Intel Corporation 82599ES, ixgbe 6.1.0, firmware 0x800003df, 10000 Mb/s" in brief


def test_several_clients_have_a_card_each(tmp_path: Path) -> None:
    nic = {**synthetic_nic.nic(), "client": [synthetic_nic.CARD, {**synthetic_nic.CARD, "name": "Another"}],
           "between": "a switch"}
    page, _ = written(tmp_path, facts={"nic": nic})
    assert "The client 1's NIC" in page.text and "the client 2's end" in page.text
    assert "between the ends a switch" in page.text and "checked beforehand the clocks differ by 2 s" in page.text
    assert "checked beforehand the clock of client is 2.0 s behind: its own logs do not fit" in page.text


def test_a_card_of_another_machine_is_named_with_it(tmp_path: Path) -> None:
    card = {key: value for key, value in synthetic_nic.CARD.items() if key not in ("pci", "name", "pcie")}
    nic = {**synthetic_nic.nic(), "client": [{"machine": "me@there", **card, "interface": "eth1"}]}
    _, out = written(tmp_path, facts={"nic": nic})
    assert "- The client's NIC: eth1, of me@there, ixgbe 6.1.0, firmware" in (out / "summary.md").read_text()


def test_the_command_is_that_of_a_nic(tmp_path: Path) -> None:
    page, _ = written(tmp_path)
    assert ("sudo make bench NIC=0000:02:00.0 CLIENT='ssh:me@there,if=eth1;ssh:me@elsewhere' TUNE=fair FORCE=1 "
            "CONTENDERS=epoll,lwip" in page.text)
    assert page.text.count("CLIENT=") == 1
    assert "one port in turn" in page.text


@pytest.mark.parametrize("key", ["nic", "hardware", "tuning"])
def test_facts_without_hardware_are_a_report_without_it(tmp_path: Path, key: str) -> None:
    page, _ = written(tmp_path, facts={key: None})
    assert {"nic": "The server's NIC", "hardware": "NUMA node", "tuning": "Tuned for the run"}[key] not in page.text


@pytest.mark.parametrize("key, value", [
    ("nic", "x"), ("nic", {"server": 3}), ("nic", {"client": ["x"]}), ("nic", {"order": "x"}), ("hardware", 3),
    ("hardware", {"numa": {"x": 1}}), ("tuning", [1]), ("tuning", "x")])
def test_foreign_facts_of_hardware_are_one_line(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=r"facts\.json: '[\w.]+' is (not a (list of )?table|missing or)") as caught:
        written(tmp_path, facts={key: value})
    assert "\n" not in str(caught.value)


def test_on_a_nic_the_seeds_table_stands_beside_ours(tmp_path: Path) -> None:
    page, out = written(tmp_path, emulated="")
    text = page.text[page.text.index("Compared with published figures"):]
    assert "64 139,792 48,442 189,747 1,107,350 ≤ 0.34× [0.32, 0.36] 5.84×" in text
    assert "2 – – 36,760 60,117 – 1.64×" in text
    assert ("CPU A Maker Server 9000, A made-up CPU, BIOS 2.4 of 01/02/2024 two Xeon E5-2640 v3 (8 cores each, 2.60 "
            "GHz) in each host NIC Intel Corporation 82599ES, ixgbe 6.1.0" in text)
    assert "client wrk 4.1.0 on CPU 0 of the same machine wrk on the other host" in text
    assert "2 s a load point in each of 3 rounds, after 1 s of warm-up 10 s a load point, once" in text
    assert "a body of 1 byte, and its head 64 bytes with the head" in text
    assert "tuning CPU governor: performance; rings: not known not stated" in text
    assert "One figure per load point: there is no interval." in text
    assert "PUBLISHED" not in text, "nobody asked for an overlay"
    lines = (out / "summary.md").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("| connections | ours: epoll |"))
    table = lines[place:place + 10]
    assert len({line.count("|") for line in table}) == 1 and not lines[place + 10]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["1", "2", "4", "8", "16", "32", "64", "128"]


def test_elsewhere_it_stands_there_when_it_is_asked_for(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run")
    write_report(run, tmp_path / "out")
    assert b"Compared with published" not in (tmp_path / "out" / "report.html").read_bytes()
    write_report(run, tmp_path / "out", ["tinyhttpd-lwip-dpdk"])
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    assert "Compared with published figures" in text and "none: wire tap (Linux bridge, DPDK net_tap)" in text


def test_what_a_nic_lost_is_told_and_may_be_the_limit(tmp_path: Path) -> None:
    page, out = written(tmp_path, emulated="", missed=900)
    summary = loaded(tmp_path / "run")[1]
    evidence = {str(note.code): note.values for note in summary.points[0].cells["epoll"].limit.evidence}
    assert evidence["nic-lost"]["share"] == pytest.approx(0.018, abs=0.001)
    assert evidence["nic-counter"] == {"end": "server", "counter": "rx_missed_errors", "count": 2700, "kind": "missed"}
    held, = (note.values for note in summary.caveats if note.code == "wire-limit")
    assert held == {"contenders": ("epoll", "lwip"), "points": (0, 1)}
    assert "a NIC by its own count" in page.text and "2,700" in page.text
    assert "epoll: wire; lwip: wire" in (out / "summary.md").read_text()
    none, _ = written(tmp_path / "none", emulated="")
    assert "rx_missed_errors" not in none.text


@pytest.mark.parametrize("xstats", [[], {"server": 3}, {"server": {"rx_errors": "many"}}])
def test_foreign_counters_of_a_nic_are_one_line(tmp_path: Path, xstats: Any) -> None:
    run = synthetic_nic.write(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    (run / "trials.jsonl").write_text("".join(json.dumps({**line, "xstats": xstats}) + "\n" for line in lines))
    with pytest.raises(UsageError, match=r"trials\.jsonl:1: "):
        write_report(run, tmp_path / "out")
