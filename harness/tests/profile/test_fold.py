# SPDX-License-Identifier: BSD-3-Clause
"""Samples that were recorded, to layers and back to a sum: what each function counts as, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.profile import addresses, fold, load_rules, parse_inlined, parse_samples
from harness.profile.perf_script import KERNEL, Call, Sample
from harness.store import ContenderProfile, Load

DATA = Path(__file__).resolve().parents[1] / "data" / "perf-script.txt"
SAMPLES = parse_samples(DATA.read_text("utf-8"))
EPOLL, LWIP, NGINX = 30760, 30908, 31233
LWIP_SERVER = "/home/user/stackduel/build/lwip_server"
INLINED = """\
0x000000000000faba
rte_rdtsc
/usr/include/dpdk/../x86_64-linux-gnu/dpdk/rte_cycles.h:46
end_turn
/home/user/stackduel/build/../servers/stack/stack.c:299
stack_poll
/home/user/stackduel/build/../servers/stack/stack.c:325
0x000000000001c525
sys_check_timeouts
/home/user/stackduel/build/lwip/src/core/timeouts.c:373 (discriminator 2)
0x0000000000099999
??
??:0
"""


def folded(ours: set[int], samples: list[Sample] = SAMPLES, requests: int = 10, **load: object) -> ContenderProfile:
    """Fold with 100 cycles a sample."""
    given = Load(requests, 5.0, 100.0 * len(samples), "cpu-clock", **load)  # type: ignore[arg-type]
    return fold("it", "It", given, samples, parse_inlined(LWIP_SERVER, INLINED), frozenset(ours), load_rules())


def test_a_stack_ends_with_the_innermost_call_of_the_program() -> None:
    ends = [(sample.program, sample.stack[0].symbol, sample.stack[-1].symbol) for sample in SAMPLES]
    assert ("epoll_server", "tcp_ack", "__send") in ends and ("nginx", "[unknown]", "[unknown]") in ends
    assert ends[-2][0] == "tmux: server" and SAMPLES[-2].stack[0].dso == "/usr/bin/python3.11"
    assert SAMPLES[0].stack[0].dso == KERNEL and len(SAMPLES[0].stack) == 27


def test_addresses_are_those_of_files_alone() -> None:
    found = addresses(SAMPLES)
    assert found[LWIP_SERVER] == [0xfaba, 0x1c525] and all(name.startswith("/") for name in found)


def test_inlined_calls_have_their_sources_and_an_unknown_place_is_left_out() -> None:
    found = parse_inlined(LWIP_SERVER, INLINED)
    assert [call.symbol for call in found[LWIP_SERVER, 0xfaba]] == ["rte_rdtsc", "end_turn", "stack_poll"]
    assert found[LWIP_SERVER, 0xfaba][1].source == "/home/user/stackduel/servers/stack/stack.c"
    assert found[LWIP_SERVER, 0x1c525][0].source.endswith("/core/timeouts.c") and len(found) == 2


@pytest.mark.parametrize("symbol, dso, source, layer", [
    ("tcp_ack", KERNEL, "", "tcp"), ("__inet_lookup_established", KERNEL, "", "tcp"), ("ip_rcv", KERNEL, "", "ip"),
    ("nf_hook_slow", KERNEL, "", "ip"), ("veth_xmit", KERNEL, "", "driver"), ("br_handle_frame", KERNEL, "", "driver"),
    ("__netif_receive_skb_core.constprop.0", KERNEL, "", "driver"), ("tun_get_user", KERNEL, "", "driver"),
    ("skb_clone", KERNEL, "", "socket"), ("kmem_cache_alloc_node_noprof", KERNEL, "", "socket"),
    ("io_issue_sqe", KERNEL, "", "socket"), ("_copy_to_iter", KERNEL, "", "copy"),
    ("sock_def_readable", KERNEL, "", "wakeup"), ("__schedule", KERNEL, "", "wakeup"),
    ("do_syscall_64", KERNEL, "", "syscall"), ("fdget", KERNEL, "", "syscall"),
    ("handle_softirqs", KERNEL, "", "interrupt"), ("asm_sysvec_apic_timer_interrupt", KERNEL, "", "interrupt"),
    ("default_idle", KERNEL, "", "idle"), ("_raw_spin_lock", KERNEL, "", "caller"),
    ("__memmove_avx_unaligned_erms", "/usr/lib/libc.so.6", "", "copy"), ("malloc", "/usr/lib/libc.so.6", "", "library"),
    ("__vdso_gettimeofday", "[vdso]", "", "library"), ("ngx_palloc", "/usr/sbin/nginx", "", "application"),
    ("[unknown]", "/usr/lib/dpdk/librte_net_tap.so.23.0", "", "driver"),
    ("rte_eal_init", "/usr/lib/librte_eal.so.23", "", "eal"),
    ("tcp_input", LWIP_SERVER, "/b/lwip/src/core/tcp_in.c", "tcp"),
    ("tcp_input_predicted", LWIP_SERVER, "/s/servers/stack/header_prediction.c", "tcp"),
    ("ip4_input", LWIP_SERVER, "/b/lwip/src/core/ipv4/ip4.c", "ip"),
    ("pbuf_free", LWIP_SERVER, "/b/lwip/src/core/pbuf.c", "socket"),
    ("port_receive", LWIP_SERVER, "/s/servers/stack/port/port.c", "driver"),
    ("http_input", LWIP_SERVER, "/s/servers/http/http.c", "application"),
    ("a_socket", "/x/build/libstackduel_preload.so", "/s/servers/preload/sockets/calls.c", "socket"),
    ("no_such_function_of_the_kernel", KERNEL, "", None)])
def test_a_function_has_its_layer(symbol: str, dso: str, source: str, layer: str | None) -> None:
    rule = load_rules().of(Call(0, symbol, dso, source))
    assert (rule.layer if rule else None) == layer


def test_what_serves_many_counts_as_its_caller() -> None:
    locked = [sample for sample in SAMPLES if sample.stack[0].symbol == "_raw_spin_unlock_irqrestore"]
    assert folded({EPOLL}, locked).cycles_per_request == {"wakeup": 10.0}


def test_layers_add_up_to_all_cycles_and_other_programs_stand_apart() -> None:
    found = folded({EPOLL, LWIP, NGINX, 0})
    assert sum(found.cycles_per_request.values()) == pytest.approx(100 * len(SAMPLES) / 10)
    assert found.cycles_per_request["other"] == 20.0 and found.cycles_per_request["idle"] == 10.0
    assert found.worked == pytest.approx(10 * (len(SAMPLES) - 3)) and found.unknown_share == 0
    assert sum(stack.samples for stack in found.stacks) == len(SAMPLES) - 3


def test_frames_go_from_the_program_inwards_through_inlined_calls() -> None:
    found = folded({LWIP}, [sample for sample in SAMPLES if sample.stack[0].symbol == "stack_poll"])
    names = [found.frames[place].symbol for place in found.stacks[0].calls]
    assert names == ["lwip_server", "stack_poll", "end_turn", "rte_rdtsc"]
    assert found.frames[found.stacks[0].calls[-1]].layer == "eal"


def test_empty_polls_are_as_many_as_the_server_counts() -> None:
    lwip = [sample for sample in SAMPLES if sample.pid == LWIP]
    found = folded({LWIP}, lwip, polls=True, idle_share=0.5)
    assert found.cycles_per_request == {"driver": 5.0, "eal": 10.0, "polling": 15.0} and not found.polling_hidden


def test_empty_polls_that_cannot_be_told_are_said() -> None:
    application = Sample("lwip_server", LWIP, (Call(1, "serve", "/usr/bin/server"),))
    samples = [application] * 3 + [sample for sample in SAMPLES if sample.stack[0].symbol == "stack_poll"]
    assert folded({LWIP}, samples, polls=True, idle_share=0.9).polling_hidden
    uncounted = folded({LWIP}, samples, polls=True)
    assert uncounted.polling_hidden and "polling" not in uncounted.cycles_per_request


def test_a_function_without_a_name_has_that_of_its_file() -> None:
    found = folded({NGINX})
    assert [frame.symbol for frame in found.frames if frame.dso == "nginx"] == ["[nginx]"]


def test_what_has_no_layer_is_listed() -> None:
    strange = Sample("epoll_server", EPOLL, (Call(1 << 63, "no_such_function", KERNEL),))
    found = folded({EPOLL}, [*SAMPLES, strange, strange])
    assert found.unknown == {"no_such_function kernel": 2} and found.cycles_per_request["unknown"] == 20.0


def test_a_table_with_a_layer_that_there_is_not_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "layers.toml"
    file.write_text('[[rule]]\nlayer = "cake"\n')
    with pytest.raises(UsageError, match=f"{file}: 'cake' is no layer"):
        load_rules(file)
