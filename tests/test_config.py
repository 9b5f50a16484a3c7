"""What a site writes, and what it is told when that is wrong."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.config import Address, ConfigurationFaults, Settings, load
from ctid.daemon.links import node_name
from ctid.domain.types import Days, OpenHours, Policy, Rule
from lab.certificates import Authority
from lab.process import TOP

LINE = '[[lines]]\nname = "sales"\nnumbers = ["4001"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ctid.toml"


def faults(file: Path, text: str = "", env: dict[str, str] | None = None, *, pbx: bool = False) -> tuple[str, ...]:
    file.write_text(text)
    with pytest.raises(ConfigurationFaults) as caught:
        load(file, env or {}, pbx=pbx)
    return caught.value.faults


def loaded(file: Path, text: str = "", env: dict[str, str] | None = None, *, pbx: bool = False) -> Settings:
    file.write_text(text)
    file.chmod(0o600)
    return load(file, env or {}, pbx=pbx)


def test_each_daemon_can_have_its_own_name_at_the_broker(file: Path) -> None:
    assert node_name(loaded(file, '[ami]\npbx = "hq"\n')).startswith("hq.")
    assert node_name(loaded(file, env={"CTID_MQTT__NODE": "hq.second"})) == "hq.second"
    assert any("mqtt.node" in fault for fault in faults(file, '[mqtt]\nnode = "a/b"\n'))


def test_an_empty_file_gives_the_defaults_of_the_example(file: Path) -> None:
    settings = loaded(file)
    example = [line[2:] for line in (TOP / "config/ctid.toml").read_text().splitlines() if line.startswith("# ")]
    written = dict(line.split("#")[0].split(" = ", 1) for line in example if " = " in line and line[0].islower())
    for section in ("routing", "ami", "desk"):
        for key, value in getattr(settings, section).model_dump().items():
            if key in written and value not in (None, ()) and key != "url":
                assert json.loads(written[key]) == (list(value) if isinstance(value, tuple) else value), key
    assert settings.metrics.listen == Address(host="127.0.0.1", port=9108)
    assert settings.database.url.get_secret_value() == "sqlite:////var/lib/ctid/ctid.db"
    assert settings.policy() == Policy()


def test_the_example_with_everything_switched_on_is_right(file: Path, tmp_path: Path) -> None:
    text = (TOP / "config/ctid.toml").read_text()
    lines = [
        line[2:] if line.startswith("# ") and " = " in line and line[2].islower() else line
        for line in text.splitlines()
    ]
    secret = tmp_path / "secret"
    secret.write_text("hush-hush\n")
    whole = "\n".join(line for line in lines if not line.startswith('url = "postgresql')).replace(
        "/etc/ctid/", f"{tmp_path}/"
    )
    for plain, secured in (("tls = false", "tls = true"), ('"mqtt:', '"mqtts:'), ('"http:', '"https:')):
        whole = whole.replace(plain, secured)
    for name in ("ami-secret", "ami-originate-secret", "mqtt-password"):
        (tmp_path / name).write_text("hush-hush\n")
    (tmp_path / "recordings-key").write_text("A" * 43 + "=\n")
    authority = Authority(tmp_path)
    for name in ("pbx-ca.pem", "mqtt-ca.pem"):
        (tmp_path / name).write_bytes(authority.file.read_bytes())
    authority.issue("mqtt")
    settings = loaded(file, whole, pbx=True)
    assert settings.ami.secret is not None
    assert settings.ami.secret.get_secret_value() == "hush-hush"
    assert settings.domain_lines()[0].hours


def test_what_agents_choose_from_is_the_sites_own(file: Path) -> None:
    desk = loaded(file, '[desk]\ncategories = ["故障", "咨询"]\npromise_hours = [96, 48, 24, 4, 0.5]\n').desk
    assert desk.categories == ("故障", "咨询")
    assert desk.promise_hours == (96, 48, 24, 4, 0.5)
    env = {"CTID_DESK__CATEGORIES": "Fault; Order", "CTID_DESK__PROMISE_HOURS": "5;4;3;2;1"}
    assert loaded(file, env=env).desk.categories == ("Fault", "Order")
    assert loaded(file, env=env).desk.promise_hours == (5, 4, 3, 2, 1)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("categories = []", "desk.categories: is empty"),
        ('categories = ["A", "a"]', "desk.categories: names one twice"),
        ('dispositions = ["two\\nlines"]', "desk.dispositions[1]: holds characters"),
        ("promise_hours = [1, 2]", "desk.promise_hours: is not of five numbers"),
        ("promise_hours = [1, 2, 3, 4, 0]", "desk.promise_hours[5]: is too small"),
        ("promise_hours = [1, 2, 3, 4, nan]", "desk.promise_hours[5]: is"),
    ],
)
def test_a_choice_nobody_can_make_is_refused_in_one_line(file: Path, written: str, said: str) -> None:
    assert any(fault.startswith(said) for fault in faults(file, f"[desk]\n{written}\n"))


def test_a_private_key_that_everyone_may_read_is_warned_about(file: Path, tmp_path: Path) -> None:
    both, key = tmp_path / "both.pem", tmp_path / "web.key"
    for one in (both, key):
        one.write_text("a key")
        one.chmod(0o644)
    written = f'[web]\nurl = "https://desk.example"\ncert_file = "{both}"\n{{}}{LINE}'

    def warned(text: str) -> list[str]:
        file.write_text(text)
        return [one for one in load(file, {}).warnings if "private key" in one]

    assert warned(written.format(""))[0].startswith("web.cert_file: everyone may read the private key")
    assert warned(written.format(f'key_file = "{key}"\n'))[0].startswith("web.key_file: everyone")
    key.chmod(0o640)
    assert warned(written.format(f'key_file = "{key}"\n')) == []


def test_a_line_that_would_ask_for_leave_by_no_sound_is_refused(file: Path) -> None:
    [said] = faults(file, f'{LINE}consent_mode = "ask"\n')
    assert said.startswith("lines[1].consent_mode: tells nobody anything without consent")


def test_a_line_that_calls_back_needs_a_second_ami_user_and_a_country(file: Path, tmp_path: Path) -> None:
    calling = f'[ami]\nsecret = "s"\n{LINE}callback = true\n'
    user, country = faults(file, calling, pbx=True)
    assert user.startswith("lines[1].callback: needs a second AMI user; add [ctid-originate]")
    assert country.startswith("lines[1].callback: needs [routing] country")
    assert faults(file, calling) == (country,)  # the web makes no calls
    missing = calling.replace("[[", f'originate_secret_file = "{tmp_path}/none"\n[[', 1)
    assert [fault.partition(":")[0] for fault in faults(file, missing, {"CTID_ROUTING__COUNTRY": "CN"}, pbx=True)] == [
        "ami.originate_secret_file"
    ]
    given = {"CTID_ROUTING__COUNTRY": "CN", "CTID_AMI__ORIGINATE_SECRET": "calls and calls"}
    settings = loaded(file, calling, given, pbx=True)
    assert settings.calls_back
    assert settings.domain_lines()[0].callback
    assert "calls and calls" in settings.secrets
    assert "calls and calls" not in repr(settings)


@pytest.mark.parametrize("sound", ["a/b", "", "x y", "beep,r", "a&b", "x" * 65])
def test_a_sound_is_a_plain_name_the_dialplan_takes(file: Path, sound: str) -> None:
    [fault] = faults(file, f'{LINE}callback_sound = "{sound}"\n')
    assert fault.startswith("lines[1].callback_sound: ")


def test_every_fault_is_reported_at_once_with_its_mend(file: Path) -> None:
    found = faults(
        file,
        """
        [ami]
        port = 99999
        secrt = "x"
        [routing]
        timezone = "Asia/Shangai"
        country = "XX"
        ring_seconds = nan
        [webb]
        [mqtt]
        url = "http://broker"
        password_file = "/nowhere/at/all"
        [[lines]]
        name = "sales"
        numbers = [4001]
        hours = "Mon-Fry 08:30-18:00"
        [[lines]]
        name = "sales"
        numbers = ["4002"]
        agents = ["a/b"]
        [[lines]]
        name = "support"
        numbers = ["40 02"]
        overflow = "elsewhere"
        """,
        {"CTID_METRICS__LISTEN": "9108", "CTID_LOG_LEVEL": "debug", "CTID_ROUTNG__COUNTRY": "DE"},
        pbx=True,
    )
    assert [fault.partition(": ")[0] for fault in found] == [
        "ami.port",
        "ami.secrt",
        "mqtt.url",
        "routing.ring_seconds",
        "routing.timezone",
        "routing.country",
        "lines[1].numbers[1]",
        "lines[1].hours",
        "lines[2].agents",
        "lines[3].overflow",
        "metrics.listen (CTID_METRICS__LISTEN)",
        "webb",
        "CTID_LOG_LEVEL",
        "CTID_ROUTNG__COUNTRY",
        "mqtt.password_file",
        "lines[2].name",
        "lines[3].numbers",
        "ami.secret",
    ]
    assert all("; " in fault and "\n" not in fault for fault in found)
    told = "\n".join(found)
    for hint in ("did you mean secret", "did you mean Asia/Shanghai", "did you mean web", "CTID_LOG__LEVEL"):
        assert hint in told


def test_a_file_that_is_no_toml_names_the_line(file: Path) -> None:
    assert "line 2" in faults(file, "[ami]\nport = = 3\n")[0]


def test_a_file_that_is_no_utf8_names_the_line(file: Path) -> None:
    file.write_bytes(b"[ami]\npbx = '\xff'\n")
    with pytest.raises(ConfigurationFaults, match="line 2"):
        load(file, {})


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFaults, match="--config"):
        load(tmp_path / "none.toml", {})


def test_the_environment_beats_the_file_also_from_secret_to_secret_file(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    settings = loaded(
        file,
        '[ami]\nport = 5\nsecret = "from-the-toml"\n' + LINE,
        {
            "CTID_AMI__PORT": "5039",
            "CTID_AMI__TLS": "true",
            "CTID_AMI__SECRET_FILE": str(secret),
            "CTID_MQTT__PASSWORD": "",
            "CTID_LINES": '[{"name": "other", "numbers": ["7"], "agents": ["客服01"]}]',
        },
        pbx=True,
    )
    assert (settings.ami.port, settings.ami.tls) == (5039, True)
    assert settings.ami.secret is not None
    assert settings.ami.secret.get_secret_value() == "from-a-file"
    assert settings.mqtt.password is None
    assert settings.domain_lines()[0].agents == ("客服01",)


def test_no_secret_shows_in_settings_faults_or_warnings(file: Path) -> None:
    text = '[ami]\nsecret = "hunter-2-ami"\nport = 70000\n[mqtt]\npassword = "hunter-2-mqtt\\n"\n'
    text += 'url = "mqtt://u:hunter-2-url@h"\n[database]\nurl = "mysql://u:hunter-2-db@h/d"\n[routing]\nfoo = "hunter-2-x"\n'
    assert "hunter-2" not in "\n".join(faults(file, text))
    settings = loaded(
        file,
        '[ami]\nsecret = "hunter-2-ami"\n[mqtt]\npassword = "hunter-2"\n[database]\nurl = "postgresql://u:hunter-2-db@h/d"\n',
    )
    assert "hunter-2" not in repr(settings) + str(settings) + "".join(settings.warnings)
    assert set(settings.secrets) == {"hunter-2-ami", "hunter-2", "hunter-2-db"}


def test_a_file_with_secrets_that_everyone_may_read_is_warned_about(file: Path) -> None:
    file.write_text('[ami]\nsecret = "hush-hush"\n')
    file.chmod(0o644)
    assert any("chmod" in warning for warning in load(file, {}).warnings)
    file.chmod(0o640)
    assert not any("chmod" in warning for warning in load(file, {}).warnings)


def test_a_secret_with_a_line_break_cannot_become_an_ami_header(file: Path) -> None:
    (fault,) = faults(file, '[ami]\nsecret = "a\\r\\nAction: Originate"\n')
    assert fault.startswith("ami.secret: ")


def test_the_web_runs_without_reading_the_pbxs_secret(file: Path) -> None:
    text = '[ami]\nsecret_file = "/nowhere/at/all"\n'
    assert loaded(file, text).ami.secret is None
    assert faults(file, text, pbx=True)[0].startswith("ami.secret_file: ")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Mon-Fri 08:30-18:00", [((0, 1, 2, 3, 4), 510, 1080)]),
        ("Sat,Sun 09:00-12:00,13:00-24:00", [((5, 6), 540, 720), ((5, 6), 780, 1440)]),
        ("Mon 08:00-09:00; tue 08:00-09:00", [((0,), 480, 540), ((1,), 480, 540)]),
        ("Sat-Mon 10:00-11:00", [((0, 5, 6), 600, 660)]),
        ("Sun 22:00-06:00", [((6,), 1320, 1800)]),
        ("Mon 18:00-00:00", [((0,), 1080, 1440)]),
    ],
)
def test_opening_hours_are_read_as_a_supervisor_writes_them(
    file: Path, written: str, meant: list[tuple[tuple[int, ...], int, int]]
) -> None:
    line = loaded(file, f'{LINE}hours = "{written}"\n').domain_lines()[0]
    assert line.hours == tuple(OpenHours(weekdays=days, opens=opens, closes=closes) for days, opens, closes in meant)


@pytest.mark.parametrize(
    "written", ["", "Mon", "Mon 8-18", "Mon 08:00-08:00", "Mon 25:00-26:00", "Mon 08:60-09:00", ";"]
)
def test_opening_hours_that_mean_nothing_are_refused(file: Path, written: str) -> None:
    (fault,) = faults(file, f'{LINE}hours = "{written}"\n')
    assert fault.startswith("lines[1].hours: ")


@pytest.mark.parametrize(
    ("written", "first", "last", "yearly"),
    [
        ('"2026-10-01"', "2026-10-01", "2026-10-01", False),
        ("2026-10-01", "2026-10-01", "2026-10-01", False),
        ('"12-25"', "2000-12-25", "2000-12-25", True),
        ('"2026-10-01..2026-10-07"', "2026-10-01", "2026-10-07", False),
        ('"12-24 .. 01-02"', "2000-12-24", "2000-01-02", True),
        ('"02-29"', "2000-02-29", "2000-02-29", True),
    ],
)
def test_holidays_are_days_or_ranges_of_one_year_or_of_each(
    file: Path, written: str, first: str, last: str, yearly: bool
) -> None:
    settings = loaded(file, f'[routing]\nholidays = [{written}]\n{LINE}hours = "Mon 08:00-09:00"\n')
    meant = Days(first=date.fromisoformat(first), last=date.fromisoformat(last), yearly=yearly)
    assert settings.domain_lines()[0].holidays == (meant,)


def test_the_sites_holidays_are_those_of_lines_with_hours_and_a_line_may_add_its_own(file: Path) -> None:
    text = '[routing]\nholidays = ["12-25"]\n'
    text += '[[lines]]\nname = "a"\nnumbers = ["1"]\nhours = "Mon 08:00-09:00"\nholidays = ["01-01", "05-01"]\n'
    text += '[[lines]]\nname = "b"\nnumbers = ["2"]\n[[lines]]\nname = "c"\nnumbers = ["3"]\nholidays = ["01-01"]\n'
    assert [len(line.holidays) for line in loaded(file, text).domain_lines()] == [3, 0, 1]


def test_special_hours_of_one_year_go_before_those_of_each(file: Path) -> None:
    text = LINE + 'special_hours = { "12-24" = "09:00-12:00", "2026-12-24" = "22:00-02:00, 09:00-10:00" }\n'
    special = loaded(file, text).domain_lines()[0].special_hours
    assert [(one.days.yearly, one.shifts) for one in special] == [
        (False, ((1320, 1560), (540, 600))),
        (True, ((540, 720),)),
    ]


@pytest.mark.parametrize(
    "written",
    [
        'holidays = ["2026-02-30"]',
        'holidays = ["Christmas"]',
        'holidays = ["2026-10-07..2026-10-01"]',
        'holidays = ["10-01..2026-10-07"]',
        "holidays = [1225]",
        'holidays = ["1-1"]',
        'holidays = "12-25"',
        'special_hours = { "2026-12-24" = "closed" }',
        'special_hours = { "soon" = "09:00-10:00" }',
        'special_hours = { "12-24" = 9 }',
        "special_hours = 1",
        "announce_seconds = 5",
        'music = "a b"',
        'closed = "line-nowhere"',
    ],
)
def test_what_a_line_cannot_mean_is_refused_in_one_line(file: Path, written: str) -> None:
    (fault,) = faults(file, f"{LINE}{written}\n")
    assert fault.startswith(f"lines[1].{written.partition(' ')[0]}")
    assert "; " in fault


def test_fairness_and_priority_reach_the_core(file: Path) -> None:
    settings = loaded(file, f'[routing]\nfairness = "talk_share"\n{LINE}priority = -2\n')
    assert settings.policy().fairness is Rule.TALK_SHARE
    assert settings.domain_lines()[0].priority == -2


def test_a_fairness_nobody_knows_and_a_priority_beyond_all_levels_are_refused(file: Path) -> None:
    fair, first = faults(file, f'[routing]\nfairness = "random"\n{LINE}priority = 11\n')
    assert fair == "routing.fairness: 'random' is no rule; write least_talk or talk_share"
    assert first.startswith("lines[1].priority: ")


def test_an_overflow_to_a_line_that_is_not_there_is_refused_and_the_right_one_guessed(file: Path) -> None:
    text = f'{LINE}overflow = "line-suport"\nclosed = "line-sales"\n[[lines]]\nname = "support"\nnumbers = ["2"]\n'
    assert faults(file, text) == (
        "lines[1].overflow: there is no line 'suport'; did you mean line-support",
        "lines[1].closed: leads back to the line itself; name another",
    )


def test_lines_that_overflow_in_a_circle_are_warned_about(file: Path) -> None:
    support = '[[lines]]\nname = "support"\nnumbers = ["2"]\nclosed = "line-sales"\n'
    warnings = loaded(file, f'{LINE}overflow = "line-support"\n{support}').warnings
    assert sum("in a circle" in warning for warning in warnings) == 2
    warnings = loaded(file, f'{LINE}overflow = "line-support"\n{support.replace("line-sales", "hangup")}').warnings
    assert not any("in a circle" in warning for warning in warnings)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "CTID_AMI__PORT",
                "CTID_LINES",
                "CTID_WEB__LISTEN",
                "CTID_ROUTING__COUNTRY",
                "CTID_MQTT__URL",
                "CTID_DATABASE__URL",
                "CTID_WEB__URL",
                "CTID_LINES__0__NAME",
                "CTID_X__Y",
                "CTID_AMI__X",
                "CTID_ROUTING__TIMEZONE",
                "CTID_RECORDINGS__ROOT",
                "CTID_AMI__CA_FILE",
                "CTID_MQTT__PASSWORD_FILE",
            ]
        ),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_no_environment_brings_more_than_plain_faults(env: dict[str, str]) -> None:
    try:
        load(Path("/dev/null"), env)
    except ConfigurationFaults as caught:
        odd = [fault for fault in caught.faults if not fault.isprintable() or ": " not in fault]
        if odd:
            pytest.fail(f"no plain fault: {odd}")


def test_a_port_that_pages_and_metrics_would_both_take_is_told(file: Path) -> None:
    def told(web: str, metrics: str) -> bool:
        text = f'[web]\nlisten = "{web}"\n[metrics]\nlisten = "{metrics}"\n'
        return any(warning.startswith("metrics.listen: ") for warning in loaded(file, text).warnings)

    assert told("127.0.0.1:8080", "127.0.0.1:8080")
    assert told("0.0.0.0:9108", "127.0.0.1:9108")
    assert not told("10.0.0.1:8080", "127.0.0.1:8080")
    assert not told("127.0.0.1:8080", "127.0.0.1:9108")
    assert not told("127.0.0.1:0", "127.0.0.1:0")


def test_a_web_that_others_reach_by_an_address_nobody_named_is_warned_of(file: Path) -> None:
    def doubted(text: str) -> bool:
        return any(warning.startswith("web.url: is a loopback address") for warning in loaded(file, text).warnings)

    assert doubted('[web]\nlisten = "0.0.0.0:8080"\n')
    assert not doubted('[web]\nlisten = "0.0.0.0:8080"\nurl = "https://ctid.example.com"\n')
    assert not doubted('[web]\nlisten = "127.0.0.1:8080"\n')


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('[ami]\nca_file = "{ca}"', "ami.ca_file: is for TLS, which is off"),
        ('[mqtt]\nca_file = "{ca}"', "mqtt.url: begins with mqtt://, which is no TLS"),
        ('[mqtt]\nurl = "mqtts://b"\nkey_file = "{key}"', "mqtt.key_file: stands without cert_file"),
        ('[mqtt]\nurl = "mqtts://b"\ncert_file = "{ca}"\nkey_file = "{key}"', "mqtt.key_file: is not the key"),
        ('[mqtt]\nurl = "mqtts://b"\ncert_file = "{key}"', "mqtt.cert_file: does not give a certificate"),
        ('[mqtt]\nurl = "mqtts://b"\nca_file = "{key}"', "mqtt.ca_file: holds no certificate"),
        ('[ami]\nsecret = "s"\ntls = true\nca_file = "{key}"', "ami.ca_file: holds no certificate"),
        ('[web]\ncert_file = "{ca}"', "web.url: must begin with https://"),
        ('[web]\nkey_file = "{ca}"', "web.key_file: stands without cert_file"),
    ],
)
def test_tls_that_is_only_half_turned_on_is_a_fault(file: Path, tmp_path: Path, written: str, said: str) -> None:
    authority = Authority(tmp_path)
    text = written.format(ca=authority.file, key=authority.issue("x").key)
    assert any(fault.startswith(said) for fault in faults(file, text, {"CTID_AMI__SECRET": "s"}, pbx=True))


def test_what_goes_to_another_host_without_tls_is_warned_about(file: Path) -> None:
    text = (
        '[ami]\nhost = "pbx.example"\n[mqtt]\nurl = "mqtt://broker.example"\n[web]\nlisten = "0.0.0.0:80"\n'
        'url = "http://desk.example"\n[database]\nurl = "postgresql://ctid:pass-word@db.example/ctid?sslmode=require"\n'
    )
    warned = loaded(file, text).warnings
    for key in ("ami.tls", "mqtt.url", "web.url", "database.url: does not check who db.example is"):
        assert any(warning.startswith(key) for warning in warned), key
    assert "pass-word" not in "".join(warned)
    secured = text.replace("mqtt:", "mqtts:").replace("http:", "https:").replace("require", "verify-full")
    warned = loaded(file, secured.replace("[mqtt]", "tls = true\n[mqtt]")).warnings
    assert not [one for one in warned if one.startswith(("ami.", "mqtt.", "web.", "database."))]
