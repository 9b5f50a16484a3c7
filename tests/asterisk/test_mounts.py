"""Whether a disk can be written to is the disk's own word, whatever this process may."""

from pathlib import Path

import pytest

from ctid.asterisk.mounts import read_only
from ctid.asterisk.recordings import folder_fault

WRITABLE = "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def told(tmp_path: Path, *lines: str) -> bool:
    folder = tmp_path / "a b" / "monitor"
    folder.mkdir(parents=True)
    table = tmp_path / "mountinfo"
    at = str(folder.parent).replace(" ", "\\040")
    table.write_text(WRITABLE + "".join(line.format(at=at) for line in lines))
    return read_only(folder, table)


def test_a_folder_that_only_this_process_may_not_write_is_no_read_only_disk(tmp_path: Path) -> None:
    assert not told(tmp_path, "30 20 8:1 / {at} ro,nosuid master:1 - ext4 /dev/sda1 rw,errors=remount-ro\n")


def test_a_disk_that_takes_no_writes_is_read_only_and_the_deepest_mount_counts(tmp_path: Path) -> None:
    assert told(tmp_path, "30 20 8:2 / {at} rw master:1 - ext4 /dev/sdb1 ro,errors=remount-ro\n")


def test_of_two_mounts_at_one_place_the_last_counts(tmp_path: Path) -> None:
    under = "30 20 8:2 / {at} rw - ext4 /dev/sdb1 rw\n"
    assert told(tmp_path, under, "31 30 0:9 / {at} ro - tmpfs none ro\n")


def test_a_table_that_cannot_be_read_accuses_nobody(tmp_path: Path) -> None:
    assert not read_only(tmp_path, tmp_path / "none")


@pytest.mark.parametrize(("used", "says"), [(True, "mount its disk"), (False, None)])
def test_an_empty_folder_is_a_disk_that_is_away_only_where_recordings_lay_in_it(
    tmp_path: Path, used: bool, says: str | None
) -> None:
    fault = folder_fault(tmp_path, used=used)
    assert fault == says or (says is not None and says in (fault or ""))


def test_of_a_folder_that_is_not_there_it_is_said_what_to_do(tmp_path: Path) -> None:
    assert "mount its disk, or set [recordings] root" in (folder_fault(tmp_path / "none", used=False) or "")
