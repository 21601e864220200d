"""The signing key of an installation that was not given one."""

import stat
from concurrent.futures import ThreadPoolExecutor

from config.settings.secret import secret_key


def test_it_is_made_once_and_kept_for_its_owner_alone(tmp_path):
    made = secret_key(tmp_path / "var")
    assert len(made) >= 50
    assert secret_key(tmp_path / "var") == made
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600


def test_processes_that_start_together_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: secret_key(tmp_path), range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
