"""A package that is loaded when it is used."""

import sys

import pytest

from vqbn.espnet2.lazy import import_lazily


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "loud_package").mkdir()
    (tmp_path / "loud_package/__init__.py").write_text("import os\nos.environ['LOUD'] = 'loaded'\nvalue = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LOUD", raising=False)
    yield "loud_package"
    sys.modules.pop("loud_package", None)


def test_a_package_is_loaded_when_something_in_it_is_looked_at(package, monkeypatch):
    import os

    import_lazily(package)
    import loud_package

    assert "LOUD" not in os.environ
    monkeypatch.setenv("LOUD", "to be restored")
    assert loud_package.value == 3
    assert os.environ["LOUD"] == "loaded"
    import_lazily(package)
    assert loud_package.value == 3


def test_a_package_that_is_not_installed_stays_so():
    import_lazily("no_such_package_anywhere")
    with pytest.raises(ImportError):
        import no_such_package_anywhere  # noqa: F401


def test_importing_espnet_does_not_load_what_downloads(espnet):
    import subprocess

    program = "import vqbn.espnet2.task, sys; print('nltk' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split()[-1] == "False"
