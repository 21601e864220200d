"""The files that hold a production's secrets."""

import stat

from images import secret_files


def test_each_is_made_once(tmp_path):
    folder = tmp_path / "secrets"
    assert secret_files.make(folder) == list(secret_files.SECRETS)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert secret_files.make(folder) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_one_that_was_removed_is_made_anew_and_the_others_stay(tmp_path):
    secret_files.make(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "broker_password").unlink()
    assert secret_files.make(tmp_path) == ["broker_password"]
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"broker_password"}


def test_nobody_else_of_this_machine_gets_at_them_and_a_container_s_user_reads_its_own(tmp_path):
    folder = tmp_path / "secrets"
    secret_files.make(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}


def test_no_two_installations_have_the_same(tmp_path):
    for name in ("one", "two"):
        secret_files.make(tmp_path / name)
    for name in set(secret_files.SECRETS) - {"secret_key_fallbacks"}:
        one, two = ((tmp_path / folder / name).read_text() for folder in ("one", "two"))
        assert one != two
        assert len(one) >= 20
