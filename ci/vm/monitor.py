# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's monitor (QMP), and the guest's requests to it: what `vmctl` asks for through its port.

Never waits: the loop that owns the sockets feeds it. Knows nothing of jobs.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Callable

from ci.vm.devices import CLIENT, SERVER, Devices
from ci.vm.errors import UsageError

UNPLUG_SECONDS = 20.0
Done = Callable[[str], None]  # is told "ok", or what was wrong


def _received(port: socket.socket) -> bytes:
    """What has come; nothing at the end of the stream, also when the other end died with something unread."""
    try:
        return port.recv(65536)
    except ConnectionError:
        return b""


def _say(port: socket.socket, line: str) -> None:
    try:
        port.sendall(line.encode() + b"\n")
    except ConnectionError:  # it died; whoever waits for it will see that
        pass


class Monitor:
    """Commands are sent in order; QEMU answers in order."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self._unread = b""
        self._waiting: list[Done] = []
        self._events: list[tuple[str, str, float, Done]] = []
        self.send("qmp_capabilities", {}, lambda answer: None)

    def send(self, command: str, arguments: dict[str, Any], done: Done) -> None:
        self._waiting.append(done)
        _say(self._port, json.dumps({"execute": command, "arguments": arguments}))

    def on_event(self, name: str, device: str, seconds: float, done: Done) -> None:
        """Calls `done` at the event `name` of `device`, or when `seconds` have passed."""
        self._events.append((name, device, time.monotonic() + seconds, done))

    def readable(self) -> bool:
        """Takes what has come; False at the end of the stream."""
        data = _received(self._port)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._message(json.loads(line))
        return bool(data)

    def _message(self, message: dict[str, Any]) -> None:
        if "return" in message or "error" in message:
            self._waiting.pop(0)(message["error"]["desc"] if "error" in message else "ok")
        elif "event" in message:
            self._event(message["event"], str(message.get("data", {}).get("device", "")))

    def _event(self, name: str, device: str) -> None:
        for waiting in [waiting for waiting in self._events if waiting[:2] == (name, device)]:
            self._events.remove(waiting)
            waiting[3]("ok")

    def tick(self) -> None:
        """Gives up events whose time has passed."""
        for waiting in [waiting for waiting in self._events if waiting[2] < time.monotonic()]:
            self._events.remove(waiting)
            waiting[3](f"{waiting[1]}: asked, but the guest has not let go of it")


class Control:
    """Requests of the guest, one line each, answered by one line each."""

    def __init__(self, port: socket.socket, monitor: Monitor, cards: Devices) -> None:
        self._port = port
        self._monitor = monitor
        self._cards = cards
        self._unread = b""

    def readable(self) -> bool:
        """Takes what has come; False at the end of the stream."""
        data = _received(self._port)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            words = line.decode(errors="replace").split()
            try:
                self._request(words)
            except UsageError as error:
                self._answer(str(error))
        return bool(data)

    def _answer(self, text: str) -> None:
        _say(self._port, text.replace("\n", " "))

    def _request(self, words: list[str]) -> None:
        match words:
            case ["link", "cable", "on" | "off" as state]:
                self._link(CLIENT, state, lambda answer: self._link(SERVER, state, self._answer))
            case ["link", name, "on" | "off" as state]:
                self._cards.named(name)
                self._link(name, state, self._answer)
            case ["unplug", name]:
                self._cards.named(name)
                self._monitor.on_event("DEVICE_DELETED", name, UNPLUG_SECONDS, self._answer)
                self._monitor.send("device_del", {"id": name}, self._refused)
            case ["plug", name]:
                self._monitor.send("device_add", dict(self._cards.named(name)), self._answer)
            case ["up"]:  # of `start`, which waits for no answer. From now on a reboot not asked for is the end
                self._monitor.send("set-action", {"reboot": "shutdown"}, lambda answer: None)
            case ["reset"]:  # firmware, finding a machine that has run, resets it once more by itself
                self._monitor.send("set-action", {"reboot": "reset"}, lambda answer: None)
                self._monitor.send("system_reset", {}, lambda answer: None)
            case _:
                raise UsageError(f"no such request: {' '.join(words)}")

    def _link(self, name: str, state: str, done: Done) -> None:
        self._monitor.send("set_link", {"name": name, "up": state == "on"}, done)

    def _refused(self, answer: str) -> None:
        if answer != "ok":
            self._answer(answer)
