"""``export``: a session as a tool's own file, as a bundle, or as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from turnfold.cli.app import App, command, session_argument
from turnfold.cli.out import note
from turnfold.cli.safe import safe
from turnfold.cli.words import size

FORMATS: Final = ("claude-code", "codex", "bundle", "jsonl")
