"""The link between ctid and Asterisk, which tests cut and mend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.process import until
from lab.site import Site
from lab.wire import Wire
from tests.chain.centre import CSV, Centre, opened


class Broken(Centre):
    def __init__(self, site: Site, wire: Wire) -> None:
        super().__init__(site)
        self.wire = wire


async def resynced(centre: Broken, times: int) -> None:
    assert centre.site.daemon is not None
    await until(lambda: said(centre, '"pbx.resynced"') > times, "ctid has read the PBX's state anew")


def said(centre: Broken, word: str) -> int:
    assert centre.site.daemon is not None
    return centre.site.daemon.output.read_text(errors="replace").count(word)


@asynccontextmanager
async def broken_into(folder: Path) -> AsyncIterator[Broken]:
    """A centre whose link to the PBX runs through a wire."""
    site = Site(folder=folder, csv=CSV, ring_seconds=3, routing="missed_in_a_row = 0")
    wire = Wire(site.asterisk.ami_port)
    config = site.config.read_text()
    site.config.write_text(config.replace(f"port = {site.asterisk.ami_port}\n", f"port = {wire.port}\n"))
    await wire.mend()
    async with opened(site):
        yield Broken(site, wire)
    await wire.cut()
