"""From file, environment and secret files to ``Settings``, or to every fault at once.

Law: the environment beats the file, a secret stands in one place only, and nothing is half read: either all
is right or ``ConfigurationFaults`` lists what is not.

pydantic alone does the checking: pydantic-settings would read the process's environment by itself, stop at
the first value it cannot decode, and not tell which key came from where.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from ctid.config.faults import ENV_PREFIX, ConfigurationFaults, fault, keys, variable
from ctid.config.sections import DEFAULT_STATE, SECRETS, SECTIONS, LineSection, Settings
from ctid.config.values import Address, bare_number
from ctid.config.wording import near, plain, shown
from ctid.tls import TlsFault

DEFAULT_PATH = Path("/etc/ctid/ctid.toml")
_POLICY = ("routing", "lines")


def load(path: Path = DEFAULT_PATH, env: Mapping[str, str] = os.environ, *, pbx: bool = False) -> Settings:
    """The settings of the file at ``path``, ``env`` on top; raises ``ConfigurationFaults`` with every fault.

    ``pbx`` also asks for what only the routing daemon needs: the AMI secret.
    """
    faults: list[str] = []
    data = _from_file(path)
    warnings = _exposed(path, data)
    given = _from_env(env, faults)
    for section, values in given.items():
        if section == "lines":
            data["lines"] = values
        elif isinstance(known := data.setdefault(section, {}), dict):
            for key, value in values.items():
                known.pop(f"{key}_file", None)
                known.pop(key.removesuffix("_file"), None)
                known[key] = value
    _credentials(data, env)
    _read_secrets(data, faults, warnings, pbx=pbx)
    faults += _unsealed(data, faults)
    _default_database(data)
    faults += _duplicates(data)
    faults += _destinations(data)
    faults += _untold(data)
    ami = data.get("ami", {})
    if pbx and isinstance(ami, dict) and "secret" not in ami and not any(f.startswith("ami.secret") for f in faults):
        faults.append("ami.secret: is missing; write the secret of ctid's user in manager.conf, or name a secret_file")
    faults += _callbacks(data, pbx=pbx and not any(fault.startswith("ami.originate_secret") for fault in faults))
    settings = _validated(data, given, faults)
    if faults := _tls(settings, pbx=pbx):
        raise ConfigurationFaults(tuple(faults))
    return settings.warned((*warnings, *_doubts(settings)))


def load_policy(path: Path, over: Settings | None) -> Settings:
    """The ``[routing]`` and ``[[lines]]`` of the file alone, whatever else stands in it; raises ``ConfigurationFaults``.

    What it leaves out is as in ``over``, the site's own: each key of ``[routing]``, and the lines as a whole.
    """
    data = {name: part for name, part in _from_file(path).items() if name in _POLICY or name not in SECTIONS}
    _default_database(data)
    policy = _validated(data, {}, _duplicates(data) + _destinations(data))
    if over is None:
        return policy
    changed = {key: getattr(policy.routing, key) for key in policy.routing.model_fields_set}
    lines = policy.lines if "lines" in policy.model_fields_set else over.lines
    return policy.model_copy(update={"routing": over.routing.model_copy(update=changed), "lines": lines})


def _validated(data: Mapping[str, Any], given: Mapping[str, Any], faults: list[str]) -> Settings:
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigurationFaults(tuple(fault(one, given) for one in error.errors()) + tuple(faults)) from None
    if faults:
        raise ConfigurationFaults(tuple(faults))
    return settings


def _tls(settings: Settings, *, pbx: bool) -> list[str]:
    """Certificates that cannot do, and those that nobody would look at: TLS that is only half turned on is plain text.

    The web's own are tried by ``ctid web``: others need not be able to read its key.
    """
    ami, mqtt, web = settings.ami, settings.mqtt, settings.web
    faults: list[str] = []
    if ami.ca_file is not None and not ami.tls:
        faults.append("ami.ca_file: is for TLS, which is off; write tls = true and the PBX's TLS port, or leave it out")
    if not mqtt.url.tls and (mqtt.ca_file or mqtt.cert_file or mqtt.key_file):
        faults.append("mqtt.url: begins with mqtt://, which is no TLS; write mqtts://, or leave the certificates out")
    for section, cert_file, key_file in (("mqtt", mqtt.cert_file, mqtt.key_file), ("web", web.cert_file, web.key_file)):
        if key_file is not None and cert_file is None:
            faults.append(f"{section}.key_file: stands without cert_file; name the certificate, too")
    if web.cert_file is not None and not web.url.startswith("https://"):
        faults.append("web.url: must begin with https:// where cert_file is set; write the address people open")
    for secured in (ami.secured if pbx else None, mqtt.secured):
        try:
            if secured is not None:
                secured.context()
        except TlsFault as fault:
            faults.append(str(fault))
    return faults


def _doubts(settings: Settings) -> list[str]:
    """What is right, but hardly meant so."""
    warnings: list[str] = []
    if not settings.ami.tls and not _loopback(settings.ami.host):
        warnings.append(
            "ami.tls: is off though the PBX is on another host; turn it on, or what is said can be heard and changed"
        )
    if not settings.mqtt.url.tls and not _loopback(settings.mqtt.url.host):
        warnings.append("mqtt.url: is without TLS though the broker is on another host; write mqtts://")
    for section, keyed in (("mqtt", settings.mqtt), ("web", settings.web)):
        key = "cert_file" if keyed.key_file is None else "key_file"  # one file may hold both
        if (file := getattr(keyed, key)) is not None and _open_to_all(file):
            warnings.append(f"{section}.{key}: everyone may read the private key in it; chmod 640 it, its group ctid's")
    if (database := _afar(settings.database.url.get_secret_value())) is not None:
        warnings.append(f"database.url: does not check who {database} is; add sslmode=verify-full to it")
    if settings.routing.country is None:
        warnings.append(
            "routing.country: is not set; name it, or numbers written without + or 00 match only as written"
        )
    warnings += [
        f"lines: {line.name} overflows in a circle of lines; name an end, or who has waited on each is let go"
        for line in settings.lines
        if _circle(settings.lines, line)
    ]
    if not settings.lines:
        warnings.append("lines: there is none; add [[lines]] with a name and numbers, or no call is routed")
    return warnings + _listening(settings)


def _listening(settings: Settings) -> list[str]:
    """What of that concerns where pages and metrics are offered."""
    warnings: list[str] = []
    if not _loopback(settings.web.listen.host) and settings.web.url.startswith("http://"):
        warnings.append(
            "web.url: is without TLS though others are listened to; set cert_file, or put a proxy with TLS before it"
        )
    if _loopback(urlsplit(settings.web.url).hostname or "") and not _loopback(settings.web.listen.host):
        warnings.append(
            "web.url: is a loopback address, while web.listen takes others' connections; set it to the address people open"
        )
    if _same(settings.web.listen, settings.metrics.listen):
        warnings.append(
            "metrics.listen: is web.listen's address, too; give it another port, or one of ctid run and ctid web does not start"
        )
    return warnings


def _same(one: Address, other: Address) -> bool:
    """Whether two that listen would take the same port of one machine."""
    everywhere = {"0.0.0.0", "::"} & {one.host, other.host}  # noqa: S104 - it is looked for, not listened to
    return one.port == other.port != 0 and (one.host == other.host or bool(everywhere))


def _afar(url: str) -> str | None:
    """The host of a PostgreSQL whose certificate nobody checks though it is elsewhere."""
    split = urlsplit(url)
    if split.scheme.startswith("sqlite") or not split.hostname or _loopback(split.hostname):
        return None
    return None if parse_qs(split.query).get("sslmode") == ["verify-full"] else plain(split.hostname)


def _open_to_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & 0o004)
    except OSError:
        return False  # who is to use it says so


def _loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        return tomllib.loads(text.removeprefix("\ufeff"))
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); put the configuration there or name it with --config"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = f"is not UTF-8 (line {line}); save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault = f"is not TOML: {plain(str(error))}; mend that line"
    raise ConfigurationFaults((f"{plain(str(path))}: {fault}",))


def _exposed(path: Path, data: Mapping[str, Any]) -> list[str]:
    """A warning when everyone on the machine can read secrets in the file."""
    holds = any(isinstance(found := data.get(section), dict) and key in found for section, key in SECRETS[:3]) or (
        isinstance(base := data.get("database"), dict) and re.search(r"://[^/@]*:[^/@]+@", str(base.get("url")))
    )
    if holds and path.stat().st_mode & 0o004:
        return [f"{plain(str(path))}: everyone may read the secrets in it; chmod 640 it, its group ctid's"]
    return []


def _from_env(env: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """``CTID_SECTION__KEY`` by section and key, ``CTID_LINES`` as a JSON array; empty ones are unset."""
    data: dict[str, Any] = {}
    for name, value in sorted(env.items()):
        if not name.startswith(ENV_PREFIX) or not value:
            continue
        section, mark, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if section == "lines":
            try:
                data["lines"] = json.loads(value) if not mark else None
            except ValueError:
                data["lines"] = None
            if not isinstance(data["lines"], list):
                del data["lines"]
                faults.append(
                    f'{plain(name)}: is no JSON array; write CTID_LINES=[{{"name": "sales", "numbers": ["4001"]}}]'
                )
        elif mark and section in SECTIONS:
            data.setdefault(section, {})[key] = value
        elif mark:
            guess = near(section, SECTIONS)
            hint = f"did you mean {variable(guess, key)}" if guess else "unset it"
            faults.append(f"{plain(name)}: [{plain(section)}] is no section; {hint}")
        else:
            for known in SECTIONS:
                if section.removeprefix(f"{known}_") in keys(known):
                    right = variable(known, section.removeprefix(f"{known}_"))
                    faults.append(f"{plain(name)}: lacks an underscore; write {right}")
    return data


def _read_secrets(data: Mapping[str, Any], faults: list[str], warnings: list[str], *, pbx: bool) -> None:
    """Put the content of each ``…_file`` in its key's place; the PBX's stays unread by those who do not need it."""
    for section, key in SECRETS:
        values = data.get(section)
        if not isinstance(values, dict) or f"{key}_file" not in values:
            continue
        name, file = f"{section}.{key}_file", values.pop(f"{key}_file")
        if section == "ami" and not pbx:
            continue
        if key in values:
            faults.append(f"{name}: stands beside {section}.{key}; keep one of the two")
            continue
        try:
            path = Path(file)
            values[key] = path.read_text(encoding="utf-8").rstrip("\r\n")
            if path.stat().st_mode & 0o004:
                warnings.append(f"{name}: everyone may read that file; chmod 640 it, its group ctid's")
            if not values[key]:
                faults.append(f"{name}: is an empty file; write the secret into it")
                del values[key]
        except OSError as error:
            faults.append(f"{name}: cannot be read ({error.strerror}); name a file that ctid's user may read")
        except (TypeError, ValueError):
            faults.append(f"{name}: is no file of text; name a file with the secret as its only line")


def _credentials(data: dict[str, Any], env: Mapping[str, str]) -> None:
    """The recordings' key where systemd keeps it for this unit, unless the configuration says where else."""
    recordings = data.setdefault("recordings", {})
    folder = env.get("CREDENTIALS_DIRECTORY")
    if folder and isinstance(recordings, dict) and not {"key", "key_file"} & recordings.keys():
        file = Path(folder) / "recordings-key"
        if file.is_file():
            recordings["key_file"] = str(file)


def _unsealed(data: Mapping[str, Any], faults: list[str]) -> list[str]:
    recordings = data.get("recordings", {})
    wanted = isinstance(recordings, dict) and recordings.get("encrypt") in (True, "true", "True", "1")
    if not wanted or "key" in recordings or any(fault.startswith("recordings.key") for fault in faults):
        return []
    mend = "make one by openssl rand -base64 32, and name its file as key_file or give it to the unit as recordings-key"
    return [f"recordings.encrypt: needs a key; {mend}"]


def _default_database(data: dict[str, Any]) -> None:
    state, database = data.get("state", {}), data.setdefault("database", {})
    if isinstance(state, dict) and isinstance(database, dict) and "url" not in database:
        database["url"] = f"sqlite:///{state.get('directory', DEFAULT_STATE)}/ctid.db"


def _callbacks(data: Mapping[str, Any], *, pbx: bool) -> list[str]:
    """What a line that calls back needs elsewhere; sought in the raw data, so that all faults show together."""
    lines, ami, routing = data.get("lines"), data.get("ami", {}), data.get("routing", {})
    calling = (
        [n for n, line in enumerate(lines, 1) if isinstance(line, dict) and line.get("callback") is True]
        if isinstance(lines, list)
        else []
    )
    faults: list[str] = []
    if calling and pbx and isinstance(ami, dict) and "originate_secret" not in ami:
        faults.append(
            f"lines[{calling[0]}].callback: needs a second AMI user; add [ctid-originate] of manager.conf.sample to"
            " manager.conf and write its secret as [ami] originate_secret, or name an originate_secret_file"
        )
    if calling and isinstance(routing, dict) and "country" not in routing:
        faults.append(
            f"lines[{calling[0]}].callback: needs [routing] country; name it, for only its own numbers are called back"
        )
    return faults


def _untold(data: Mapping[str, Any]) -> list[str]:
    """Lines that say how callers are to be told of the recording, and not by what: nobody would be told or asked."""
    lines = data.get("lines")
    return [
        f"lines[{position}].consent_mode: tells nobody anything without consent; name the sound file, or leave it out"
        for position, line in enumerate(lines if isinstance(lines, list) else [], 1)
        if isinstance(line, dict) and "consent_mode" in line and "consent" not in line
    ]


def _duplicates(data: Mapping[str, Any]) -> list[str]:
    """Line names and numbers that stand twice; sought in the raw data, so that all faults show together."""
    faults: list[str] = []
    names: dict[str, int] = {}
    numbers: dict[str, int] = {}
    lines = data.get("lines")
    for position, line in enumerate(lines if isinstance(lines, list) else [], 1):
        if not isinstance(line, dict):
            continue
        name, own = line.get("name"), line.get("numbers")
        if isinstance(name, str) and names.setdefault(name, position) != position:
            faults.append(f"lines[{position}].name: {shown(name)} is line {names[name]}'s too; give each its own name")
        for number in own if isinstance(own, list) else []:
            plain = bare_number(number) if isinstance(number, str) else ""
            if plain and plain in numbers:
                faults.append(
                    f"lines[{position}].numbers: {shown(number)} is line {numbers[plain]}'s too; keep it once"
                )
            numbers.setdefault(plain, position)
    return faults


def _destinations(data: Mapping[str, Any]) -> list[str]:
    """Overflows to lines that are not there; sought in the raw data, so that all faults show together."""
    faults: list[str] = []
    lines = data.get("lines")
    found = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    names = [name for line in found if isinstance(name := line.get("name"), str)]
    for position, line in enumerate(lines if isinstance(lines, list) else [], 1):
        for key in ("overflow", "closed") if isinstance(line, dict) else ():
            word = line.get(key)
            if not isinstance(word, str) or not word.startswith("line-"):
                continue
            name = word.removeprefix("line-")
            if name == line.get("name"):
                faults.append(f"lines[{position}].{key}: leads back to the line itself; name another")
            elif name not in names:
                guess = near(name, names)
                mend = f"did you mean line-{guess}" if guess else "name one of the lines"
                faults.append(f"lines[{position}].{key}: there is no line {shown(name)}; {mend}")
    return faults


def _circle(lines: tuple[LineSection, ...], start: LineSection) -> bool:
    """Whether who overflows from ``start`` may come back to it."""
    by_name = {line.name: line for line in lines}
    ahead, seen = [start], set[str]()
    while ahead:
        line = ahead.pop()
        for word in (line.overflow, line.closed or line.overflow):
            following = by_name.get(word.removeprefix("line-")) if word.startswith("line-") else None
            if following is start:
                return True
            if following is not None and following.name not in seen:
                seen.add(following.name)
                ahead.append(following)
    return False
