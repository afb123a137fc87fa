"""Lines over a socket pair: split, joined, sent at once, ended."""

from __future__ import annotations

import asyncio
import socket

import pytest

from breakroom.engine.shell.channel import LineChannel


class Heard:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.news = asyncio.Event()
        self.ended = asyncio.Event()

    def line(self, line: bytes) -> None:
        self.lines.append(line)
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.lines) < count:
                self.news.clear()
                await self.news.wait()


def test_lines_arrive_whole_however_they_were_cut() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        heard = Heard()
        channel = LineChannel(asyncio.get_running_loop(), ours, heard.line, heard.ended.set)
        with theirs:
            for part in (b"on", b"e\ntw", b"o\n\nthree\nfo"):
                theirs.send(part)
                await asyncio.sleep(0)
            await heard.until(3)
            assert heard.lines == [b"one", b"two", b"three"]
        async with asyncio.timeout(10):
            await heard.ended.wait()
        channel.close()

    asyncio.run(scenario())


def test_posted_lines_come_in_one_piece_on_the_loops_next_turn_and_before_what_is_sent_after_them() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        channel = LineChannel(asyncio.get_running_loop(), ours, lambda _line: None, lambda: None)
        with theirs:
            channel.post(b"one\n")
            channel.post(b"two\n")
            with pytest.raises(BlockingIOError):
                theirs.recv(100)
            assert channel.backlog == 8
            await asyncio.sleep(0)
            assert theirs.recv(100) == b"one\ntwo\n"
            channel.post(b"three\n")
            channel.send(b"four\n")
            assert theirs.recv(100) == b"three\nfour\n"
            await asyncio.sleep(0)
            channel.post(b"five\n")
            channel.flush()
            assert theirs.recv(100) == b"five\n"
            channel.post(b"six\n")
            channel.close()
            assert theirs.recv(100) == b"six\n"

    asyncio.run(scenario())


def test_a_line_is_with_the_kernel_when_send_returns() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        channel = LineChannel(asyncio.get_running_loop(), ours, lambda _line: None, lambda: None)
        with theirs:
            theirs.setblocking(False)
            channel.send(b"leave\n")
            assert theirs.recv(100) == b"leave\n"
        channel.close()

    asyncio.run(scenario())


def test_more_than_the_socket_holds_is_kept_and_arrives_in_order() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        heard = Heard()
        loop = asyncio.get_running_loop()
        sender = LineChannel(loop, ours, lambda _line: None, lambda: None)
        lines = [b"%d " % number + b"x" * 2000 for number in range(2000)]
        for line in lines:
            sender.send(line + b"\n")
        assert sender.backlog > 0
        receiver = LineChannel(loop, theirs, heard.line, heard.ended.set)
        async with asyncio.timeout(10):
            await sender.drained()
        assert sender.backlog == 0
        await heard.until(len(lines))
        assert heard.lines == lines
        sender.close()
        async with asyncio.timeout(10):
            await heard.ended.wait()
        receiver.close()

    asyncio.run(scenario())


def test_sending_to_one_who_is_gone_is_harmless_and_the_end_is_told_once() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ends: list[int] = []
        ended = asyncio.Event()

        def on_eof() -> None:
            ends.append(1)
            ended.set()

        channel = LineChannel(asyncio.get_running_loop(), ours, lambda _line: None, on_eof)
        theirs.close()
        channel.send(b"x\n")
        async with asyncio.timeout(10):
            await ended.wait()
            await channel.drained()
        channel.send(b"y\n")
        channel.close()
        assert ends == [1]

    asyncio.run(scenario())
