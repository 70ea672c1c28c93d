"""Locks: held by one, and no obstacle where there are none."""

import errno
import fcntl

import pytest

from facexray.locks import hold


def test_one_holds_a_file_until_it_is_closed(tmp_path):
    with (tmp_path / "lock").open("wb") as first, (tmp_path / "lock").open("wb") as second:
        assert hold(first)
        assert not hold(second)
        first.close()
        assert hold(second)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_holds_up_nobody(code, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "lock").open("wb") as file:
        assert hold(file)
