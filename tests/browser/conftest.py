"""A whole call centre per file, and people at browsers who see what their phones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from lab.browser import Desk, chromium
from lab.site import Site
from tests.browser.people import ADMIN, AGENTS, CHIEF, CSV, USERS
from tests.chain.centre import Centre, opened


@dataclass(frozen=True, slots=True)
class Office:
    """The centre with its phones, and the browser everybody sits before."""

    centre: Centre
    browser: Browser

    @property
    def site(self) -> Site:
        return self.centre.site

    def desk(self, name: str, **more: Any) -> Desk:
        """This person at a browser; see ``lab.browser.Desk``."""
        return Desk(self.browser, self.site, name, **more)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened_office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> AsyncIterator[Office]:
    """A file's module may say more of its site: ``SITE = {"wrap_up_seconds": 5}``."""
    more = {"ring_seconds": 8, "csv": CSV, **getattr(request.module, "SITE", {})}
    site = Site(folder=tmp_path_factory.mktemp("site"), agents=tuple(AGENTS), **more)
    async with opened(site) as centre:
        people = [site.user(name, agent=agent) for name, agent in USERS.items()]
        people += [site.user(CHIEF, role="supervisor"), site.user(ADMIN, role="administrator")]
        await asyncio.gather(site.start_web(), *people)
        yield Office(centre, browser)


@pytest_asyncio.fixture(loop_scope="session")
async def office(opened_office: Office) -> Office:
    """The office with every phone answering and everyone idle, whatever the test before did."""
    await opened_office.site.asterisk.cli("channel request hangup all")  # what a failed test left
    await opened_office.centre.tidy()
    return opened_office
