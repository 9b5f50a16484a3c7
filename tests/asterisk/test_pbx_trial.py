"""What ``ctid doctor`` says of a PBX that will not do on demand what is tried here."""

import pytest
from scripted_pbx import ScriptedPbx, ok

from ctid.asterisk.client import AmiLink, AmiSettings
from ctid.cli.findings import Finding, Level
from ctid.cli.pbx_trial import _acting, _Trial

HOUR = 3600.0


class _Seen(Exception):  # noqa: N818 - it ends the one look
    pass


@pytest.mark.parametrize(("behind", "level"), [(0.0, Level.OK), (HOUR, Level.WARN)])
async def test_a_heartbeat_is_judged_by_the_pbxs_clock_whatever_it_shows(behind: float, level: Level) -> None:
    found: list[Finding] = []

    async def look(link: AmiLink) -> None:
        found.append(await _acting(link))
        raise _Seen

    async with ScriptedPbx() as pbx:
        here = pbx.clock
        pbx.clock = lambda: here() + HOUR
        pbx.script["Getvar"] = lambda action: ok(action, Value=f"{pbx.clock() - behind:.0f}")
        settings = AmiSettings(host="127.0.0.1", port=pbx.port, username="ctid", secret="s3cret")
        with pytest.raises(_Seen):
            await _Trial(settings, on_messages=lambda _: None, on_up=look, on_down=lambda: None).once()
    assert [finding.level for finding in found] == [level]
