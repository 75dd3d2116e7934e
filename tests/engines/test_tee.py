"""Output that is passed on and remembered, of this process and of its children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from specialists.engines.tee import OutputTee


def test_lines_of_children_are_passed_on_and_the_first_error_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print('starting'); sys.exit('ValueError: no room for 7')"
    tee = OutputTee()
    with pytest.raises(RuntimeError), tee:
        os.write(1, b"ours\n")
        subprocess.run([sys.executable, "-c", script], check=False)
        raise RuntimeError("see above")
    assert tee.fault() == "no room for 7"
    told = capfd.readouterr().err
    assert "ours" in told and "starting" in told and "no room" in told
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_nothing_printed_is_no_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with OutputTee() as tee:
        os.write(1, b"all is well\n")
    assert tee.fault() is None
