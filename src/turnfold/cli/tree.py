"""``tree``: branches, checkpoints and children of a session, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from turnfold.cli.app import App, command, json_option, session_argument
from turnfold.cli.branches import branch_dict, is_active, mark_dict
from turnfold.cli.out import Out
from turnfold.cli.resolve import short_ids
from turnfold.cli.safe import safe_line
from turnfold.cli.sessions import title_of
from turnfold.cli.words import count
from turnfold.model.event import MAIN
from turnfold.model.session import Branch, Checkpoint, SessionInfo

if TYPE_CHECKING:
    from turnfold.client import Client


class Node:
    """A line of the drawing, with what hangs below it."""

    def __init__(self, label: str, style: str = "") -> None:
        """Begin without children."""
        self.label = safe_line(label)
        self.style = style
        self.below: list[Node] = []

    def plain(self, indent: int = 0) -> Iterator[str]:
        """Yield the lines, indented by depth."""
        yield "  " * indent + self.label
        for node in self.below:
            yield from node.plain(indent + 1)


@command("tree")
@session_argument
@json_option()
def tree(app: App, session: str, *, as_json: bool) -> None:
    """Draw a session's branches, checkpoints and children."""
    out = app.out(as_json=as_json)
    with app.session(session) as (client, handle):
        info, branches, marks = handle.info(), handle.branches(abandoned=True), handle.checkpoints()
        children = children_of(client, info.id)
        if as_json:
            out.json(_dict(info, branches, marks, children))
        else:
            short = short_ids([info.id, *(child.id for child in children)]) if out.terminal else {}
            _print(out, draw(info, branches, marks, children, short))


def children_of(client: Client, parent_id: str) -> list[SessionInfo]:
    """Return the sessions that name this one as their parent (subagents, forks), newest first."""
    return list(client.sessions(parent=parent_id, limit=1_000).items)


def draw(
    info: SessionInfo,
    branches: Sequence[Branch],
    marks: Sequence[Checkpoint],
    children: Sequence[SessionInfo],
    names: Mapping[str, str],
) -> Node:
    """Return the drawing: below each branch its checkpoints and forks by place, then the children; ``names`` are shorter ids."""
    root = Node(f"{title_of(info)}  {names.get(info.id, info.id)}  {count(info.last_seq, 'event')}", "bold")
    root.below.append(_branch(MAIN, info, branches, marks))
    for child in children:
        relation = (child.parent or {}).get("relation", "child")
        root.below.append(
            Node(
                f"{relation}: {child.title or '(untitled)'}  {names.get(child.id, child.id)}  {count(child.message_count, 'message')}",
                "magenta",
            )
        )
    return root


def _branch(name: str, info: SessionInfo, branches: Sequence[Branch], marks: Sequence[Checkpoint]) -> Node:
    own = next((one for one in branches if one.name == name), Branch(name))
    active = "  (active)" if is_active(own, info) else ""
    state = active or ("  (abandoned)" if own.abandoned else "")
    style = "bold green" if active else "dim" if own.abandoned else "cyan"
    node = Node(f"{name}{f'  from #{own.fork_seq}' if own.parent else ''}{state}", style)
    below: list[tuple[int, Node]] = [(one.seq, Node(f"⚑ {one.name}  #{one.seq}", "yellow")) for one in marks if one.branch == name]
    below += [(one.fork_seq, _branch(one.name, info, branches, marks)) for one in branches if one.parent == name and one.name != name]
    node.below = [one for _, one in sorted(below, key=lambda item: item[0])]
    return node


def _print(out: Out, root: Node) -> None:
    if not out.terminal:
        for text in root.plain():
            out.line(text)
        return
    from rich.text import Text
    from rich.tree import Tree

    def grow(node: Node) -> Any:
        made = Tree(Text(node.label, style=node.style), guide_style="dim")
        made.children = [grow(one) for one in node.below]
        return made

    out.show(grow(root))


def _dict(info: SessionInfo, branches: Sequence[Branch], marks: Sequence[Checkpoint], children: Sequence[SessionInfo]) -> dict[str, Any]:
    return {
        "session": info.to_dict(),
        "branches": [branch_dict(one, info) for one in branches],
        "checkpoints": [mark_dict(mark) for mark in marks],
        "children": [child.to_dict() for child in children],
    }
