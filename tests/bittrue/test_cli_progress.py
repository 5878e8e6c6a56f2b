"""Progress: a bar on a terminal, one line a phase in a log."""

from __future__ import annotations

import io

from rich.console import Console

from bittrue.progress import RunProgress

STEPS = ("calibrate: conv1", "values: conv1", "values: branch: conv2", "values: done", "time: conv1")


def _shown(terminal):
    file = io.StringIO()
    with RunProgress(Console(file=file, force_terminal=terminal, width=120, legacy_windows=False)) as progress:
        progress.phase("load", "net.tflite")
        for done, label in enumerate(STEPS):
            progress.update(done, len(STEPS), label)
            if progress._bar is not None:
                progress._bar.refresh()
        progress.phase("save", "out")
    return file.getvalue()


def test_a_log_gets_one_line_a_phase():
    assert _shown(terminal=False).splitlines() == ["load net.tflite", "calibrate", "execute", "time", "save out"]


def test_a_terminal_gets_a_bar_with_the_layer_and_the_count():
    shown = _shown(terminal=True)
    assert "branch: conv2" in shown
    assert "2/5" in shown
    assert "values" not in shown
    assert shown.endswith(("\x1b[2K", "\x1b[2K\r", "\x1b[?25h\r\x1b[1A\x1b[2K"))  # wiped when done


def test_the_terminal_is_given_back_after_a_failure():
    file = io.StringIO()
    try:
        with RunProgress(Console(file=file, force_terminal=True, width=120, legacy_windows=False)) as progress:
            progress.phase("load", "x")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert "\x1b[?25h" in file.getvalue()  # the cursor is shown again
