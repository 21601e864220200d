"""docs/licences.md names everything that is installed, and nothing that may not be shipped."""

import importlib.metadata

import pytest

from images import licences, locks
from images.requirements import pins

PINNED = pins(locks.CONSTRAINTS.path.read_text())


def listed():
    lines = [line.strip("| ").split(" | ") for line in licences.FILE.read_text().splitlines() if line.startswith("| ")]
    return {name: (version, licence) for name, version, licence, _part in lines[1:]}


def test_everything_that_is_pinned_is_in_the_list():
    assert {name: version for name, (version, _licence) in listed().items()} == {
        name: version for name, version in PINNED.items() if name not in licences.ELSEWHERE
    }


def test_every_licence_is_allowed():
    assert [name for name, (_version, licence) in listed().items() if not licences.is_allowed(licence)] == []


def test_the_list_says_what_the_installed_packages_say():
    wrong = {}
    for name, (version, licence) in listed().items():
        try:
            installed = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed == version and licences.licence_of(name) != licence:
            wrong[name] = licence
    assert wrong == {}


@pytest.mark.parametrize("licence", ["AGPL-3.0-only", "MIT AND GPL-3.0-only", "Proprietary", ""])
def test_others_are_refused(licence):
    assert not licences.is_allowed(licence)


def test_of_two_licences_one_may_be_chosen():
    assert licences.is_allowed("GPL-3.0-only OR MIT")


def test_a_package_that_is_not_installed_has_no_licence_that_could_be_told():
    with pytest.raises(licences.UnknownLicence, match="not installed"):
        licences.licence_of("no-such-package-at-all")
