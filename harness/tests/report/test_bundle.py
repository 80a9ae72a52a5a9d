# SPDX-License-Identifier: BSD-3-Clause
"""A bundle holds what it says, says what it holds, and its report comes out the same; what was changed is named."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import tracemalloc
from pathlib import Path
from typing import Callable

import pytest

from harness.plan import load_published
from harness.report import bundle, macro
from harness.errors import CheckFailed, UsageError
from harness.tests.fixtures import synthetic

pytestmark = pytest.mark.png

Files = dict[str, bytes]
OLD = Path(__file__).resolve().parents[1] / "data" / "bundle-schema1.tar.gz"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("bundle")
    run = Path(shutil.copytree(synthetic.GOLDEN, at / "run-golden"))
    (run / "raw" / "0000-epoll-c1-r0").mkdir(parents=True)
    (run / "raw" / "0000-epoll-c1-r0" / "wrk.json").write_text("{}")
    (run / ".trials.jsonl.tmp").write_text("half a wri")
    return bundle.pack(run, at / "out", ["tinyhttpd-lwip-dpdk"])


@pytest.fixture(scope="module")
def pages(packed: Path) -> Files:
    return bundle.build(*bundle.loaded(packed.parent.parent / "run-golden"), [load_published("tinyhttpd-lwip-dpdk")])


@pytest.fixture
def drawn_once(pages: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report made anew is the same for each change of what was packed: drawing it takes seconds."""
    monkeypatch.setattr(bundle, "build", lambda *_: dict(pages))


def changed(packed: Path, to: Path, change: Callable[[Files], None]) -> Path:
    """The same archive after `change` of its files, by their name with the run's id before it."""
    with tarfile.open(packed) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    change(files)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    to.write_bytes(gzip.compress(data.getvalue()))
    return to


def with_manifest(files: Files) -> str:
    return next(name for name in files if name.endswith(f"/{bundle.MANIFEST}"))


def test_what_is_packed_is_found_right(packed: Path) -> None:
    found = bundle.verify(packed)
    with tarfile.open(packed) as tar:
        names = [entry.name for entry in tar]
    assert found.run == packed.name.removesuffix(".tar.gz") and found.files == len(names) - 1
    assert f"{found.run}/run/raw/0000-epoll-c1-r0/wrk.json" in names
    assert f"{found.run}/report/report.html" in names and f"{found.run}/report/throughput.png" in names
    assert not any(".tmp" in name for name in names)


def test_the_same_run_gives_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(packed.parent.parent / "run-golden", tmp_path / "moved"))
    assert bundle.pack(again, tmp_path, ["tinyhttpd-lwip-dpdk"]).read_bytes() == packed.read_bytes()


def test_a_changed_figure_is_named(packed: Path, tmp_path: Path) -> None:
    def change(files: Files) -> None:
        name = next(name for name in files if name.endswith("/trials.jsonl"))
        files[name] = files[name].replace(b'"requests_per_sec":1', b'"requests_per_sec":9', 1)
    with pytest.raises(CheckFailed, match=r"run/trials\.jsonl: another SHA-256"):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz", change))


def hashed(files: Files, name: str, data: bytes, **made_with: str) -> None:
    """Put other data for a file into the archive, its hash too; and say that other programs made it."""
    full = next(full for full in files if full.endswith(f"/report/{name}"))
    files[full] = data
    manifest = json.loads(files[with_manifest(files)])
    manifest["sha256"][f"report/{name}"] = hashlib.sha256(data).hexdigest()
    manifest["made_with"].update(made_with)
    files[with_manifest(files)] = json.dumps(manifest).encode()


@pytest.mark.usefixtures("drawn_once")
def test_a_page_that_does_not_follow_from_the_run_is_named_even_with_right_hashes(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"report/summary\.md: differs from the report made anew"):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz",
                              lambda files: hashed(files, "summary.md", b"and twice as fast\n")))


def page_of(packed: Path, name: str) -> bytes:
    with tarfile.open(packed) as tar:
        entry = next(entry for entry in tar if entry.name.endswith(f"/report/{name}"))
        return tar.extractfile(entry).read()  # type: ignore[union-attr]


# versions of the packages that draw, of Debian 12 and 13: those that are not this machine's make the bundle another's
RELEASES = ({"python": "3.11.2", "matplotlib": "3.6.3", "numpy": "1.24.2", "scipy": "1.10.1", "jinja2": "3.1.2"},
            {"python": "3.13.5", "matplotlib": "3.10.1+dfsg1", "numpy": "2.2.4", "scipy": "1.15.3", "jinja2": "3.1.6"})
OTHERS = [release for release in RELEASES if release["matplotlib"] != bundle.made_with()["matplotlib"]]


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("version", OTHERS)
def test_charts_that_other_packages_drew_are_not_compared_and_that_is_told(
        packed: Path, tmp_path: Path, version: dict[str, str]) -> None:
    def change(files: Files) -> None:
        hashed(files, "gain.svg", b"<svg/>", **version)
        hashed(files, "throughput.png", b"other pixels")
        embedded = page_of(packed, "report.html").replace(b"data:image/svg+xml;base64,", b"data:image/svg+xml;base64,AA")
        hashed(files, "report.html", embedded)
    found = bundle.verify(changed(packed, tmp_path / "x.tar.gz", change))
    with tarfile.open(packed) as tar:
        texts = [entry.name for entry in tar if "/report/" in entry.name and not entry.name.endswith((".png", ".svg"))]
    assert found.regenerated == len(texts) == 4 and found.figures > 50
    lines = macro("terminal.j2", "verified", found)
    assert len(lines) == 1 and "the text made anew is the same (4 files); charts were not compared" in lines[0]
    assert f"matplotlib {version['matplotlib']} then, {bundle.made_with()['matplotlib']} now" in lines[0]


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("name, old, new", [
    ("summary.md", b"epoll", b"nginx"), ("report.html", b"</p>", b" Twice as fast.</p>"), ("summary.csv", b"epoll", b"uring"),
])
def test_text_is_compared_whichever_packages_made_it(packed: Path, tmp_path: Path, name: str, old: bytes,
                                                     new: bytes) -> None:
    page = page_of(packed, name).replace(old, new, 1)
    assert page != page_of(packed, name)
    with pytest.raises(CheckFailed, match=rf"report/{name}: differs from the report made anew"):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz", lambda files: hashed(files, name, page, scipy="1.0")))


def last_digits(packed: Path) -> bytes:
    """summary.json with one figure, of the gains, off by one in its sixth digit: what other sums may make of it."""
    text = page_of(packed, "summary.json").decode()
    before, figure, after = re.split(r"(\"ratio\": \d\.\d+)", text, maxsplit=1)
    name, _, digits = figure.partition(": ")
    return f"{before}{name}: {float(digits) + 1e-5:.6g}{after}".encode()


@pytest.mark.usefixtures("drawn_once")
def test_the_last_digit_of_a_figure_may_be_another_packages_and_no_more(packed: Path, tmp_path: Path) -> None:
    page = last_digits(packed)
    assert page != page_of(packed, "summary.json")
    found = bundle.verify(changed(packed, tmp_path / "x.tar.gz",
                                  lambda files: hashed(files, "summary.json", page, numpy="1.0")))
    assert found.regenerated == 4
    with pytest.raises(CheckFailed, match=r"report/summary\.json: .*\.ratio is"):
        bundle.verify(changed(packed, tmp_path / "y.tar.gz", lambda files: hashed(files, "summary.json", page)))


@pytest.mark.usefixtures("drawn_once")
def test_of_another_stackduel_no_page_is_compared_and_that_is_told(packed: Path, tmp_path: Path) -> None:
    found = bundle.verify(changed(packed, tmp_path / "x.tar.gz",
                                  lambda files: hashed(files, "summary.md", b"in other words\n", stackduel="0")))
    assert found.regenerated == 0 and found.figures > 50
    lines = macro("terminal.j2", "verified", found)
    assert len(lines) == 1 and "pages and charts were not compared, as another version made them (stackduel 0 then" in lines[0]


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("version", [{}, {"matplotlib": "2.0"}])
def test_a_figure_that_does_not_follow_from_the_run_is_named_whichever_version_made_it(
        packed: Path, tmp_path: Path, version: dict[str, str]) -> None:
    def change(files: Files) -> None:
        summary = json.loads(next(data for name, data in files.items() if name.endswith("/report/summary.json")))
        summary["points"][0]["gains"][0]["ratio"] *= 2
        hashed(files, "summary.json", json.dumps(summary).encode(), **version)
    with pytest.raises(CheckFailed, match=r"points\[1\]\.gains\[lwip epoll\]\.ratio is .*, from the run it is"):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz", change))


def test_a_bundle_of_schema_1_is_accepted(tmp_path: Path) -> None:
    """Made by the release before from run-golden; its pictures and page were taken out of it, and of its hashes.

    Its intervals are of another method, so they and what follows from them are not compared.
    """
    found = bundle.verify(OLD)
    assert found.run == "golden" and found.files == 6 and found.figures == 181
    assert found.regenerated == 0 and found.another[0].startswith("stackduel None then")


def test_a_changed_figure_of_schema_1_is_named(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        summary = json.loads(files["golden/report/summary.json"])
        summary["points"][2]["contenders"]["lwip"]["requests_per_sec"]["median"] += 1
        hashed(files, "summary.json", json.dumps(summary).encode())
    with pytest.raises(CheckFailed, match=r"points\[64\]\.cells\.lwip\.figures\.requests_per_sec\.median is "):
        bundle.verify(changed(OLD, tmp_path / "x.tar.gz", change))


@pytest.mark.parametrize("change, said", [
    (lambda files: files.update({"20260101-000000-tap/run/extra": b""}), "must hold one run|not in bundle.json"),
    (lambda files: files.pop(next(name for name in files if name.endswith("facts.json"))), "not in the archive"),
    (lambda files: files.pop(with_manifest(files)), "not a bundle of ours"),
    (lambda files: files.update({"../outside": b""}), "no file of a bundle"),
    (lambda files: files.update({with_manifest(files): b"[]"}), "not a bundle of ours"),
])
def test_what_is_added_left_out_or_foreign_is_refused(packed: Path, tmp_path: Path,
                                                      change: Callable[[Files], None], said: str) -> None:
    with pytest.raises((CheckFailed, UsageError), match=said):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz", change))


@pytest.mark.parametrize("data", [b"", b"not an archive", gzip.compress(b"x" * 1024)])
def test_what_is_no_archive_is_said_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="cannot be read as a bundle|must hold one run"):
        bundle.verify(path)
    with pytest.raises(UsageError, match="No such file"):
        bundle.verify(tmp_path / "absent.tar.gz")


def test_why_a_trial_of_schema_1_was_unsettled_is_no_figure() -> None:
    data = {"schema": 1, "contenders": {"epoll": {}}, "steadiness": {"sampled": 2, "never": 1, "trials": [
        {"contender": "epoll", "connections": 8, "round": 0, "why": "throughput was still rising"}]}}
    assert bundle.figures(data) == {"steadiness.sampled": 2, "steadiness.never": 1}


# --- archives that mean ill ------------------------------------------------------------------------


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.GNUTYPE_SPARSE,
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_plain_file_is_refused_before_it_is_read(kind: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, header("run/x", 1 << 30, kind) + bytes(4 << 20)) == "'run/x' is no file of a bundle"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "run/../../x", "x"])
def test_a_member_that_would_lie_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, header(name)) == f"'{name}' is no file of a bundle"


@pytest.mark.parametrize("data", [
    header("run/x", 1 << 30) + bytes(4 << 20), b"".join(header(f"run/{number}") for number in range(70_000))])
def test_an_archive_beyond_any_of_ours_is_refused(data: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, data) == "more than 256 MiB or 65,536 files: no bundle of ours"


def test_what_could_not_be_verified_is_not_packed(packed: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 1000)
    monkeypatch.setattr(bundle, "build", lambda *_: {})
    with pytest.raises(UsageError, match="a bundle may not"):
        bundle.pack(packed.parent.parent / "run-golden", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_member_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, header("run/x", 1000) + b"x" * 10) == "cannot be read as a bundle: it is cut short"


def test_a_file_below_a_file_is_refused(packed: Path, tmp_path: Path) -> None:
    def change(files: Files) -> None:
        first = with_manifest(files).partition("/")[0]
        for name in (f"{first}/run/x", f"{first}/run/x/y"):
            files[name] = b""
        manifest = json.loads(files[with_manifest(files)])
        manifest["sha256"].update({f"run/{name}": hashlib.sha256(b"").hexdigest() for name in ("x", "x/y")})
        files[with_manifest(files)] = json.dumps(manifest).encode()
    with pytest.raises(UsageError, match="its files cannot be written"):
        bundle.verify(changed(packed, tmp_path / "x.tar.gz", change))


def refused(directory: Path, archive: bytes) -> str:
    """Return why an archive is refused, for which little memory may be taken."""
    path = directory / "x.tar.gz"
    path.write_bytes(gzip.compress(archive, 1))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as refusal:
            bundle.verify(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    text = str(refusal.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")
