"""nats-py asks where a message goes."""

from __future__ import annotations

import json

from broker import Broker
from tests.clients.nats_py import connected, received, run


async def _trace(url: str) -> None:
    async with connected(url, name="asker") as asker, connected(url, name="taker") as taker:
        jobs = await taker.subscribe("jobs.*", queue="workers")
        await taker.flush()
        reports = await asker.subscribe(asker.new_inbox())
        headers = {"Nats-Trace-Dest": reports.subject, "Nats-Trace-Only": "true"}
        await asker.publish("jobs.1", b"x", headers=headers)
        (message,) = await received(reports, 1)
        came, went = json.loads(message.data)["events"]
        assert ("in", "asker", "jobs.1") == (came["type"], came["name"], came["subj"])
        assert ("eg", "taker", "jobs.*", "workers") == (
            went["type"],
            went["name"],
            went["sub"],
            went["queue"],
        )
        await asker.publish("jobs.2", b"real")
        (job,) = await received(jobs, 1)
        assert b"real" == job.data


def test_a_report_says_who_would_get_a_message_that_is_only_traced() -> None:
    with Broker(port=0) as broker:
        run(_trace(broker.url))
