"""A data plane with links and flows laid by hand: no switchboard, no session."""

from __future__ import annotations

from random import Random
from typing import Any

from broker.flow import Delivery, Flow, Pick
from broker.plane import Link, PythonPlane

ZONE = 0


class Bench:
    """A plane with links whose flows are laid by hand: no switchboard, no session."""

    def __init__(self, **options: Any) -> None:
        self.plane = PythonPlane(rng=Random(1), **options)

    def link(
        self,
        *,
        echo: bool = True,
        headers: bool = True,
        no_responders: bool = False,
        verbose: bool = False,
        pedantic: bool = False,
    ) -> Link:
        link = self.plane.open(self.plane.stats().links + 1, ZONE)
        link.configure(
            zone=ZONE,
            verbose=verbose,
            pedantic=pedantic,
            echo=echo,
            headers=headers,
            no_responders=no_responders,
        )
        return link

    def lay(
        self,
        pattern: bytes,
        *plain: tuple[Link, bytes],
        pick: list[tuple[Link, bytes]] | None = None,
        ask: bool = False,
    ) -> Flow[Link]:
        picks = (Pick.of(b"q", (Delivery(*member) for member in pick)),) if pick else ()
        flow = Flow(pattern, tuple(Delivery(*one) for one in plain), picks, ask)
        self.plane.flows.install(ZONE, flow)
        return flow


def output(link: Link) -> bytes:
    return b"".join(link.take_output())
