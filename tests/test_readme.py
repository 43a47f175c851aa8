"""The README's example is run as it stands."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_plain_pytorch_loop_runs_and_is_short(capsys):
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) < 25
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out.split()
    assert float(printed[-1]) > 0.35 * 256
    assert names["bottleneck"].codebook_size == 256
