"""Prometheus' own checker, for alert rules and for scraped metrics."""

import asyncio
from pathlib import Path

from lab.process import tool


async def _run(*argv: str, text: str | None = None) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        tool("promtool"),
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate((text or "").encode())
    return child.returncode or 0, output.decode(errors="replace")


async def check_rules(file: Path) -> tuple[int, str]:
    """Promtool check rules: exit status and output."""
    return await _run("check", "rules", str(file))


async def test_rules(file: Path) -> tuple[int, str]:
    """Promtool test rules: exit status and output."""
    return await _run("test", "rules", str(file))


async def check_metrics(scraped: str) -> tuple[int, str]:
    """Promtool check metrics on what /metrics gave: exit status and output (style faults give status 3)."""
    return await _run("check", "metrics", text=scraped)
