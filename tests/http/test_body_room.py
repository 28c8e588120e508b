"""Long bodies of strangers share memory and a rate; short ones wait for nobody."""

from __future__ import annotations

import asyncio

import pytest

from breakglass.http import body_room
from breakglass.http.body_room import BodyRoom
from breakglass.http.routes import StatusError

MIB = 1024 * 1024


def test_strangers_long_bodies_keep_to_their_rate_together() -> None:
    async def read() -> float:
        room, began = BodyRoom(32 * MIB), asyncio.get_running_loop().time()
        await asyncio.gather(*(room.pace(MIB, MIB // 8) for _ in range(32)))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(read()) >= 0.99, "4 MiB came in less than a second"


def test_a_short_body_is_neither_paced_nor_asked_for_room() -> None:
    async def read() -> None:
        room = BodyRoom(MIB)
        async with room.taken(MIB):
            for _ in range(1000):
                await room.pace(64 * 1024, 64 * 1024)
            async with room.taken(64 * 1024), room.turn(64 * 1024):
                pass

    asyncio.run(asyncio.wait_for(read(), 10))


def test_a_long_body_waits_for_room_in_its_turn_or_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_room, "_WAIT_S", 0.1)
    order: list[str] = []

    async def take(room: BodyRoom, name: str, size: int) -> None:
        async with room.taken(size):
            order.append(name)

    async def all_take() -> None:
        room = BodyRoom(4 * MIB)
        async with room.taken(3 * MIB):
            with pytest.raises(StatusError, match="other long requests") as caught:
                await take(room, "refused", 2 * MIB)
            assert (caught.value.name, caught.value.http_status) == ("busy", 503)
            monkeypatch.setattr(body_room, "_WAIT_S", 30)
            later = [
                asyncio.create_task(take(room, "large", 4 * MIB)),
                asyncio.create_task(take(room, "small", MIB)),
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*later)

    asyncio.run(all_take())
    assert order == ["large", "small"], "the smaller one overtook"
