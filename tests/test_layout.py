"""What the arrangement of the repository's folders promises."""

import subprocess
import sys

from tests.servers import REPOSITORY


def test_platform_is_a_plain_folder():
    assert (REPOSITORY / "platform").is_dir()
    assert not (REPOSITORY / "platform" / "__init__.py").exists()


def test_pythons_own_platform_module_is_found_from_the_repositorys_root():
    code = "import platform; print(platform.system())"
    answer = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert answer.stdout.strip()


def test_packages_below_platform_are_importable_from_anywhere(tmp_path):
    code = "import config, lamp, jobs, common, embedded, users_app, workers"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
