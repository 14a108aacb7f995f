"""``python -m turnfold``: the command line."""

from turnfold.cli import main

main()
