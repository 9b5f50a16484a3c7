"""A real Asterisk in a folder, with the project's own dialplan and snippets.

Law: only what the lab needs is loaded, so that it starts in a second; the files under dialplan/ are included as they
stand, so that each run proves them. Its paths, ports and pid are its own: several run side by side, without root.
"""

import os
import secrets
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from lab import tones
from lab.ami import Ami, AmiTap
from lab.certificates import Pair
from lab.clock import Clock
from lab.process import LAB, TOP, Process, answers, free_port, tool, until

DIALPLAN = TOP / "dialplan"

MODULES = """
res_timing_timerfd res_pjproject res_sorcery_config res_sorcery_memory res_sorcery_astdb res_musiconhold res_parking
res_rtp_asterisk res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_caller_id res_pjsip_endpoint_identifier_ip
res_pjsip_endpoint_identifier_user res_pjsip_registrar res_pjsip_authenticator_digest res_pjsip_dtmf_info
res_pjsip_pubsub res_pjsip_refer res_pjsip_rfc3326 res_pjsip_nat res_pjsip_dlg_options res_pjsip_header_funcs
res_pjsip_logger res_manager_devicestate res_cdrel_custom chan_pjsip chan_bridge_media bridge_simple bridge_native_rtp
bridge_softmix bridge_holding bridge_builtin_features bridge_builtin_interval_features codec_ulaw codec_alaw
codec_a_mu codec_gsm codec_resample format_wav format_pcm format_gsm format_sln pbx_config cel_custom cdr_custom app_dial
app_queue app_mixmonitor app_playback app_read app_stack app_userevent app_celgenuserevent app_senddtmf app_chanspy
app_directed_pickup
app_voicemail app_echo app_exec func_callerid func_channel func_cut func_env func_global func_groupcount
func_hangupcause func_logic func_pjsip_endpoint func_pjsip_contact func_pjsip_aor func_strings func_timeout
func_dialplan func_math func_cdr func_config func_version
"""

#: Who may take whose ringing calls.
GROUP = "call_group = 1\npickup_group = 1"
#: A queue of the site's own, which is not ctid's fallback.
PLAIN_QUEUE = "[lab-plain]\nstrategy = ringall\ntimeout = 15\n"

#: A transfer nobody answers comes back soon.
FEATURES = "[general]\npickupexten = *8\natxfernoanswertimeout = 3\natxferloopdelay = 1\natxfercallbackretries = 1\n"

INDICATIONS = """
[general]
country = us
[us]
description = Lab
ringcadence = 2000,4000
dial = 350+440
busy = 480+620/500,0/500
ring = 440+480/2000,0/4000
congestion = 480+620/250,0/250
callwaiting = 440/300,0/10000
dialrecall = !350+440/100,!0/100,350+440
record = 1400/500,0/15000
info = !950/330,!1400/330,!1800/330,0
"""


class Asterisk:
    """One Asterisk with agents' phones, a caller's way in and a trunk.

    `agents` are endpoints which dial features (*11...), each other, with a leading 9 customers by ctid-outbound, and
    what lab/extensions.conf has besides (groups, a queue, parking, pick-up); each has a static contact at
    `phones[name]`, a port of 127.0.0.1 where a SippAgent may listen. `registering` are endpoints that send REGISTER
    themselves (password = name). Whoever else sends SIP is a caller and lands in ctid-inbound, unless they dial an
    agent's own number or another of [lab-outside]. Dialled customers are at `trunk_port`. `failsafe` are static
    members of the fallback queue, for a lab without ctid. `extensions` is appended to the agents' context, `globals_` are
    the site's own globals. `qualify` is the interval in seconds at which phones are asked for (0: never, always taken
    as there). `rtp_timeout` is how many seconds of silence end a call. `clock` is the wall clock it lives by.
    With `tls`, a certificate and its key, AMI is spoken by TLS at `ami_tls_port` besides.
    """

    def __init__(
        self,
        folder: Path,
        agents: Sequence[str] = ("agent1", "agent2"),
        *,
        registering: Sequence[str] = (),
        failsafe: Sequence[str] = (),
        extensions: str = "",
        globals_: str = "",
        qualify: int = 0,
        rtp_timeout: int = 30,
        system_name: str = "",
        tls: Pair | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._clock = clock
        self.agents = tuple(agents)
        self.failsafe = tuple(failsafe)
        self.sip_port, self.ami_port, self.trunk_port = free_port(), free_port(), free_port()
        self.ami_tls_port, self._tls = free_port(), tls
        self.phones = {name: free_port() for name in (*agents, *registering)}
        self.rtp_timeout = rtp_timeout
        self.ami_username, self.ami_secret = "ctid", secrets.token_hex(12)
        self.originate_username, self.originate_secret = "ctid-originate", secrets.token_hex(12)
        self.monitor_dir = self.folder / "spool" / "monitor"
        self.cel_file = self.folder / "log" / "cel-custom" / "ctid.csv"
        self.cdr_file = self.folder / "log" / "cdr-custom" / "ctid.csv"
        self.log_file = self.folder / "log" / "messages.log"
        self._lab_secret = secrets.token_hex(12)
        self._process: Process | None = None
        self._ami: Ami | None = None
        self._configure(tuple(registering), extensions, globals_, qualify, system_name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def ami(self) -> Ami:
        """A session with all rights and all events, of the lab's own user; open while Asterisk runs."""
        assert self._ami is not None, "Asterisk is not started"
        return self._ami

    @property
    def pid(self) -> int:
        assert self._process is not None, "Asterisk is not started"
        return self._process.pid

    def tap(self, file: Path, *, as_ctid: bool = True) -> AmiTap:
        """An unconnected tap (use `async with`) of what ctid's user gets, or of everything."""
        name, secret = (self.ami_username, self.ami_secret) if as_ctid else ("lab", self._lab_secret)
        return AmiTap(self.ami_port, name, secret, file)

    def session(self) -> Ami:
        """Another session of the lab's own user, not connected yet."""
        return Ami(self.ami_port, "lab", self._lab_secret)

    async def start(self) -> None:
        """Starts it on the same ports as before; returns when it is fully booted."""
        self._process = Process(
            [tool("asterisk"), "-f", "-n", "-C", str(self.folder / "etc" / "asterisk.conf")],
            folder=self.folder,
            name="asterisk",
            env={
                "PATH": f"{LAB / 'bin'}:{os.environ.get('PATH', '')}",  # where it finds itself to restart
                **(self._clock.env if self._clock is not None else {}),
            },
        )
        await self._process.ready(lambda: answers(self.ami_port), "listens for AMI")
        await self._log_in()

    async def _log_in(self) -> None:
        self._ami = self.session()
        await self._ami.connect()
        await self._ami.event("FullyBooted")

    async def stop(self) -> None:
        """Ends it at once, with its calls hung up, as `core stop now` does."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL, as when the machine dies."""
        await self._end(signal.SIGKILL)

    async def restart_itself(self, how: Literal["now", "gracefully"], limit: float = 60.0) -> float:
        """`core restart now`, or `gracefully` once the last call is over; when it has booted again, the time it went at."""
        assert self._process is not None
        self.ami.send({"Action": "Command", "Command": f"core restart {how}"})
        await until(lambda: self.ami.closed, "Asterisk ends", limit=limit)
        died = time.time()
        await self.ami.close()
        await self._process.ready(lambda: answers(self.ami_port), "listens for AMI again")
        await self._log_in()
        return died

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            await self._process.stop(number)
        if self._ami is not None:
            await self._ami.close()
        self._process = self._ami = None

    async def cli(self, command: str) -> str:
        """What the command line interface prints for a command."""
        return (await self.ami.action("Command", Command=command)).get("Output", "")

    async def reachable(self, agent: str, limit: float = 10.0) -> None:
        """Asks the phone for life until it answers and its device counts as there (for agents with `qualify`)."""

        async def look() -> bool:
            await self.cli(f"pjsip qualify {agent}")
            told = self.ami.events("DeviceStateChange", Device=f"PJSIP/{agent}")
            return (
                "Avail" in await self.cli(f"pjsip show aor {agent}") and bool(told) and told[-1]["State"] == "NOT_INUSE"
            )

        await until(look, f"{agent} is reachable", limit=limit, every=0.2)

    async def listen(self, channel: str, name: str) -> Path:
        """Keeps from now on what this channel's party hears, as a WAV file; it is whole when the channel is gone."""
        heard = self.folder / f"{name}.wav"
        whole = self.folder / f"{name}-both.wav"
        answer = await self.ami.action("MixMonitor", Channel=channel, File=str(whole), Options=f"t({heard})")
        assert answer["Response"] == "Success", answer
        return heard

    def recording(self, name: str) -> Path:
        """The file that a CtidEnd's File names."""
        return self.monitor_dir / name

    def complaints(self) -> list[str]:
        """The warnings and errors logged so far, but for what Asterisk says of parties that leave while it deals with them.

        A caller may hang up while their recording is renewed, or while a frame of music is on its way to them; a phone may
        refuse (486) while Asterisk is about to tell it anew who calls, as it does for the colleague in an attended transfer.
        A doorbell (frame type 12, the beginning of a key) may find its route already taken and be passed on to a phone that
        refuses. Which of the two comes first is chance.
        """
        theirs = (
            "Abnormal 'Gosub(ctid-renew,s,1)' exit",
            "to write frame",
            "Session already DISCONNECTED",
            "Unable to forward frametype 12",
        )
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        lines = (line for line in text.splitlines() if "WARNING" in line or "ERROR" in line)
        return [line for line in lines if not any(words in line for words in theirs)]

    # --- configuration files

    def _configure(
        self, registering: Sequence[str], extensions: str, globals_: str, qualify: int, system_name: str
    ) -> None:
        modules, data = (Path(line) for line in (LAB / "asterisk-folders").read_text().split("\n")[:2])
        for name in ("etc", "lib", "spool/monitor", "run", "log/cel-custom", "log/cdr-custom", "moh", "waltz"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        tones.write_tone(self.folder / "moh" / "hold.ulaw", 250, seconds=4, amplitude=2000)
        tones.write_tone(self.folder / "waltz" / "waltz.ulaw", 340, seconds=4, amplitude=2000)
        voices = sorted(path.name for path in (data / "sounds").glob("en*"))
        self._write(
            "asterisk.conf",
            f"""
            [directories]
            astetcdir => {self.folder}/etc
            astmoddir => {modules}
            astvarlibdir => {self.folder}/lib
            astdbdir => {self.folder}/lib
            astkeydir => {self.folder}/lib
            astdatadir => {data}
            astagidir => {self.folder}/lib
            astspooldir => {self.folder}/spool
            astrundir => {self.folder}/run
            astlogdir => {self.folder}/log
            astsbindir => {self.folder}/run
            [options]
            systemname = {system_name}
            defaultlanguage = {voices[0] if voices else "en"}
            """,
        )
        present = [name for name in MODULES.split() if (modules / f"{name}.so").exists()]
        self._write("modules.conf", "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in present))
        self._write("logger.conf", "[general]\n[logfiles]\nmessages.log => notice,warning,error\n")
        self._write(
            "manager.conf",
            f"""
            [general]
            enabled = yes
            bindaddr = 127.0.0.1
            port = {self.ami_port}
            timestampevents = yes
            {self._manager_tls()}
            [lab]
            secret = {self._lab_secret}
            read = all
            write = all
            writetimeout = 5000
            """,
            (DIALPLAN / "manager.conf.sample")
            .read_text()
            .replace("CHANGE-ME-TOO", self.originate_secret)
            .replace("CHANGE-ME", self.ami_secret),
        )
        self._write("cel.conf", (DIALPLAN / "cel.conf.sample").read_text())
        self._write("cel_custom.conf", (DIALPLAN / "cel_custom.conf.sample").read_text())
        self._write("cdr.conf", "[general]\nenable = yes\n")
        self._write("cdr_custom.conf", (DIALPLAN / "cdr_custom.conf.sample").read_text())
        self._write("features.conf", FEATURES, (DIALPLAN / "features.conf.sample").read_text())
        self._write(
            "queues.conf",
            "[general]\npersistentmembers = yes\n",
            (DIALPLAN / "queues.conf.sample").read_text(),
            "".join(f"member => PJSIP/{name}\n" for name in self.failsafe),
            PLAIN_QUEUE,
            "".join(f"member => PJSIP/{name}\n" for name in self.agents),
        )
        self._write(
            "musiconhold.conf",
            f"[default]\nmode = files\ndirectory = {self.folder}/moh\n",
            f"[waltz]\nmode = files\ndirectory = {self.folder}/waltz\n",
        )
        first = 32768 + secrets.randbelow(60) * 400
        self._write("rtp.conf", f"[general]\nrtpstart = {first}\nrtpend = {first + 399}\nicesupport = no\n")
        self._write("voicemail.conf", "[general]\nformat = wav\n[default]\n100 => 1234,Lab\n")
        self._write("indications.conf", INDICATIONS)
        self._write("acl.conf")
        self._write("res_parking.conf", "[default]\nparkext = 700\nparkpos = 701-720\ncontext = parkedcalls\n")
        for name in ("udptl", "ccss", "stasis", "codecs", "dnsmgr", "pjproject"):
            self._write(f"{name}.conf", "[general]\n")
        self._write("extensions.conf", self._extensions(extensions, globals_))
        self._write("pjsip.conf", self._pjsip(registering, qualify))

    def _manager_tls(self) -> str:
        if self._tls is None:
            return ""
        return f"""
            tlsenable = yes
            tlsbindaddr = 127.0.0.1:{self.ami_tls_port}
            tlscertfile = {self._tls.cert}
            tlsprivatekey = {self._tls.key}
            """

    def _write(self, name: str, *parts: str) -> None:
        lines = (line.strip() for part in parts for line in part.splitlines())
        (self.folder / "etc" / name).write_text("\n".join(lines) + "\n")

    def _extensions(self, extensions: str, globals_: str) -> str:
        # One by one: in a pattern such as _agent. the n would stand for a digit.
        colleagues = "\n".join(f"exten => {name},1,Dial(PJSIP/{name},20,tT)" for name in self.phones)
        return f"""
            [general]
            [globals]
            {globals_}
            #include "{DIALPLAN}/ctid.conf"
            #include "{TOP}/lab/extensions.conf"
            [agents]
            include => ctid-agent
            include => lab-desk
            exten => _9X.,1,Goto(ctid-outbound,${{EXTEN:1}},1)
            exten => _9+X.,1,Goto(ctid-outbound,${{EXTEN:1}},1)
            {colleagues}
            {extensions}
            """

    def _pjsip(self, registering: Sequence[str], qualify: int) -> str:
        def endpoint(name: str, context: str, more: str) -> str:
            return f"""
            [{name}]
            type = endpoint
            context = {context}
            disallow = all
            allow = ulaw
            direct_media = no
            send_connected_line = no
            timers = no
            dtmf_mode = auto_info
            rtp_timeout = {self.rtp_timeout}
            rtp_timeout_hold = 300
            aors = {name}
            {more}
            """

        parts = [
            f"""
            [global]
            type = global
            endpoint_identifier_order = username,ip
            contact_expiration_check_interval = 1
            [transport]
            type = transport
            protocol = udp
            bind = 127.0.0.1:{self.sip_port}
            """,
            endpoint("caller", "lab-outside", "identify_by = ip"),
            "[caller]\ntype = identify\nendpoint = caller\nmatch = 127.0.0.1\n",
            "[caller]\ntype = aor\n",
            endpoint("trunk", "lab-outside", "identify_by = username"),
            f"[trunk]\ntype = aor\ncontact = sip:127.0.0.1:{self.trunk_port}\n",
        ]
        for name in self.agents:
            port = self.phones[name]
            parts.append(endpoint(name, "agents", f"identify_by = username\ncallerid = {name} <{name}>\n{GROUP}"))
            parts.append(
                f"[{name}]\ntype = aor\ncontact = sip:{name}@127.0.0.1:{port}\n"
                f"qualify_frequency = {qualify}\nqualify_timeout = 1\n"
            )
        for name in registering:
            parts.append(endpoint(name, "agents", f"identify_by = username\nauth = {name}\n{GROUP}"))
            parts.append(f"[{name}]\ntype = auth\nauth_type = userpass\nusername = {name}\npassword = {name}\n")
            parts.append(
                f"[{name}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\nminimum_expiration = 1\n"
                f"qualify_frequency = {qualify}\n"
            )
        return "\n".join(parts)
