"""Libraries that nothing here uses are not imported by the processes of a run."""

from __future__ import annotations

from types import ModuleType

import pytest

from cloakbench.system import imports


def test_an_unused_library_looks_as_if_it_were_not_installed(python):
    code = (
        "from cloakbench.system import imports; imports.skip_unused()\n"
        "from importlib.util import find_spec; print(find_spec('bitsandbytes'))"
    )
    assert python(code).split() == ["None"]


@pytest.mark.parametrize("name", [*imports.READERS, *imports.UNUSED])
def test_what_has_been_imported_stays_as_it_is(name):
    modules = {name: ModuleType(name)}
    imports.skip_unused(modules)
    assert list(modules) == [name]


def test_code_of_others_gets_what_was_left_out_of_ours():
    modules = {}
    with imports.unused_skipped(modules):
        assert modules == dict.fromkeys(imports.UNUSED)
    assert modules == {}
