"""The lab's own servers do what the other tests lean on."""

import asyncio
import json
import subprocess
import sys
import textwrap
from pathlib import Path

from lab import tones
from lab.asterisk import Asterisk
from lab.load import place_calls
from lab.process import until
from lab.sipp import place_call, read_messages


def test_a_tone_is_found_again_and_no_other(tmp_path: Path) -> None:
    tone = tones.write_tone(tmp_path / "tone.ul", 440, seconds=2)
    decoded = subprocess.run(
        [sys.executable, "-c", "import audioop,sys; sys.stdout.buffer.write(audioop.ulaw2lin(sys.stdin.buffer.read(), 2))"],
        input=tone.read_bytes(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    wav = tmp_path / "tone.wav"
    wav.write_bytes(b"RIFF\0\0\0\0WAVEfmt " + b"\x10\0\0\0" + bytes(16) + b"data\0\0\0\0" + decoded)
    assert tones.seconds(wav) == 2
    assert tones.seconds_of(wav, 440) == 2
    assert tones.seconds_of(wav, 1000) == 0


async def test_a_sip_message_that_is_still_being_written_is_none_yet(tmp_path: Path, pbx: Asterisk) -> None:
    async with place_call(pbx, "13800138000", "4001", folder=tmp_path) as call:
        await until(lambda: any(m.start.startswith("SIP/2.0 200") for m in call.messages), "the PBX answers")
        await call.hang_up()
    log = tmp_path / f"{call.name}.messages"
    octets, whole = log.read_bytes(), read_messages(log)
    assert any(m.body for m in whole)
    for end in range(len(octets)):
        log.write_bytes(octets[:end])
        read = read_messages(log)
        assert read == whole[: len(read)], octets[:end].decode()[-200:]


async def test_a_tap_holds_the_bytes_that_ctid_gets(tmp_path: Path, pbx: Asterisk) -> None:
    tap = pbx.tap(tmp_path / "tap.ami")
    async with tap, place_call(pbx, "13800138000", "4001") as call:
        await tap.event("CtidFailsafe")
        await call.hang_up()
        await tap.event("CtidEnd")
    raw = tap.file.read_bytes()
    assert raw.startswith(b"Event: FullyBooted\r\n")
    assert raw.endswith(b"\r\n\r\n")
    assert b"Newexten" not in raw
    assert raw.count(b"Event: Newchannel") >= 1


async def test_callers_of_one_process_come_in_each_by_a_number_of_their_own(tmp_path: Path, pbx: Asterisk) -> None:
    numbers = [f"1380000000{n}" for n in range(3)]
    tap = pbx.tap(tmp_path / "tap.ami")
    async with tap, place_calls(pbx, numbers, "4001", per_second=20, folder=tmp_path / "sipp") as load:
        await until(lambda: list(load.invited) == numbers, "each has called")
        await until(lambda: all(f"CallerIDNum: {n}\n" in tap.file.read_text() for n in numbers), "each has come in")


def test_servers_die_with_the_one_who_started_them(tmp_path: Path) -> None:
    program = """
        import asyncio, json, os, signal, sys
        from pathlib import Path
        from lab.asterisk import Asterisk
        from lab.mosquitto import Mosquitto

        async def main():
            pbx, broker = Asterisk(Path(sys.argv[1]) / "a"), Mosquitto(Path(sys.argv[1]) / "b")
            await pbx.start()
            await broker.start()
            print(json.dumps([pbx.pid, broker.pid]), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, check=False, text=True
    )
    pids = json.loads(done.stdout)

    def gone() -> bool:
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        return all(not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z" for path in states)

    asyncio.run(until(gone, "both servers are gone"))
