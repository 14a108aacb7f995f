"""The README's Python block runs, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

import turnfold as tf
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_block_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    with tf.connect("sqlite:///agent.db", owner="alice") as client:
        session = client.open("user-123", create=False)
        assert [message.text for message in session.messages()] == ["Refund order 4711, please", "Which item?"]
        assert client.open("user-123", branch="cheaper-model").messages(last=1)[0].text == "Both items, or one?"
        assert session.state["step"] == 3


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_link_leads_somewhere(target: str) -> None:
    assert "://" in target or (ROOT / target).exists()
