"""The page's style sheet. Colours keep a contrast of at least 4.5 : 1 in both schemes; paper is always light."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --tint: #f5f7f9; --accent: #0a58ca;
  --user: #eaf2ff; --bad: #b3261e; --add: #e3f6e8; --add-ink: #0f5323; --del: #fdeaea; --del-ink: #8c1d18; --mark: #fff4cc;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e4e7eb; --soft: #a3adb8; --line: #363d46; --tint: #1d2227; --accent: #7db4ff; --user: #1a2940;
    --bad: #ff9d94; --add: #12301c; --add-ink: #9fe0b0; --del: #3a1a1a; --del-ink: #ffb3ad; --mark: #463a12; } }
@media print { :root { color-scheme: light; } }
@page { margin: 16mm 14mm; }
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--paper); border: 1px solid var(--line); z-index: 1; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .25rem 0 .75rem; }
@media (max-width: 30rem) { h1 { font-size: 1.3rem; } }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
h2 { font-size: 1.05rem; line-height: 1.35; margin: 0; }
code, pre { font-family: var(--mono); font-size: .84rem; tab-size: 4; }
.facts { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 0; font-size: .875rem; }
.facts div { display: flex; gap: .4rem; min-width: 0; }
dt { color: var(--soft); white-space: nowrap; }
.fields dt { white-space: normal; }
.bad, summary .meta { white-space: nowrap; }
dd { margin: 0; min-width: 0; }
.top { border-bottom: 1px solid var(--line); padding-bottom: 1rem; }
nav { padding: 1rem 0; font-size: .875rem; }
nav h2 { font-size: .875rem; color: var(--soft); }
.turns { list-style: none; margin: .25rem 0 0; padding: 0; max-height: 15rem; overflow: auto; }
.turns a { display: flex; gap: .5rem; padding: .2rem .3rem; color: inherit; text-decoration: none; border-radius: 4px; }
.turns a:hover { background: var(--tint); text-decoration: underline; }
.turns .number { min-width: 1.6em; text-align: right; }
.number { color: var(--soft); font-variant-numeric: tabular-nums; }
.unfold { display: none; margin: 0 0 .75rem; }
@supports selector(::details-content) { .unfold { display: block; }
  body:has(#unfold:checked) details::details-content { content-visibility: visible; block-size: auto; } }
.turn { border-top: 1px solid var(--line); padding-top: 1rem; margin-top: 1.75rem; }
.turn:first-child { border-top: 0; margin-top: 0; }
.extent { color: var(--soft); font-size: .8125rem; margin: .1rem 0 .75rem; }
article { margin: .75rem 0 .25rem; }
article.on { margin: .25rem 0; }
article:target, .result:target { outline: 2px solid var(--accent); outline-offset: 4px; border-radius: 4px; }
.who { display: flex; justify-content: space-between; gap: 1rem; font-size: .8125rem; }
.name { font-weight: 600; }
.meta, .preview, .when, .when a, .label, .note, figcaption { color: var(--soft); font-size: .8125rem; font-weight: 400; }
.when { white-space: nowrap; font-variant-numeric: tabular-nums; }
.when a { text-decoration: none; }
.when a:hover { text-decoration: underline; }
.on > .who { display: none; }
.user { background: var(--user); border-radius: 8px; padding: .6rem .9rem; }
.compaction { border: 1px dashed var(--soft); border-radius: 8px; padding: .5rem .9rem; }
.typed { white-space: pre-wrap; }
.on > .prose { margin-top: .7rem; }
.prose > :first-child { margin-top: .2rem; }
.prose p { margin: .6rem 0; white-space: pre-wrap; }
.prose ul, .prose ol { margin: .5rem 0; padding-inline-start: 1.6rem; }
.prose li { margin: .2rem 0; }
.prose li > ul, .prose li > ol { margin: .1rem 0; }
.prose .h { font-weight: 650; margin: 1rem 0 .3rem; }
.prose .h1, .prose .h2 { font-size: 1.1rem; }
.prose code { background: var(--tint); border-radius: 4px; padding: .1em .3em; }
blockquote { margin: .5rem 0; padding-inline-start: .9rem; border-inline-start: 3px solid var(--line); }
hr { border: 0; border-top: 1px solid var(--line); margin: 1rem 0; width: 6rem; }
pre { margin: .4rem 0; padding: .6rem .75rem; background: var(--tint); border: 1px solid var(--line); border-radius: 6px; line-height: 1.45; }
pre.code { overflow-x: auto; overflow-wrap: normal; }
pre.data { white-space: pre-wrap; }
pre.long { max-height: 36rem; overflow: auto; }
pre .add, pre.add { background: var(--add); color: var(--add-ink); }
pre .del, pre.del { background: var(--del); color: var(--del-ink); }
pre .hunk { color: var(--soft); }
.table { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: start; vertical-align: top; }
th { background: var(--tint); }
details { margin: .3rem 0; border: 1px solid var(--line); border-radius: 6px; font-size: .9rem; }
summary { padding: .3rem .7rem; cursor: pointer; border-radius: 6px; }
summary:hover { background: var(--tint); }
.what { font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; font-size: .8125rem; }
.inside { padding: .2rem .8rem .6rem; border-top: 1px solid var(--line); }
.fields { margin: .3rem 0; }
.fields > div { margin: .3rem 0; }
.fields > .short { display: flex; flex-wrap: wrap; gap: 0 .6rem; align-items: baseline; }
.fields > .short dt { margin: 0; }
.fields dt, .label { font-size: .8125rem; margin: .4rem 0 .1rem; }
figure { margin: .6rem 0; }
img { max-width: 100%; height: auto; max-height: 40rem; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
.note { margin: .3rem 0; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: .5rem; color: var(--soft); font-size: .8125rem; }
@media screen and (min-width: 62rem) {
  body { display: grid; grid-template-columns: 16rem minmax(0, 1fr); column-gap: 2.5rem; padding: 1.5rem 2rem; }
  .top, footer { grid-column: 1 / -1; }
  nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; }
  .turns { max-height: none; }
  main { padding-top: 1rem; } }
@media print {
  html { font-size: 10pt; } body { max-width: none; padding: 0; }
  nav, .skip { display: none; } .unseen { position: static; overflow: visible; clip-path: none; font-weight: 400; }
  pre, pre.code, pre.long { white-space: pre-wrap; overflow-wrap: anywhere; overflow: visible; max-height: none; }
  .table { overflow: visible; } table { overflow-wrap: anywhere; }
  h1, h2, .h, .who, .label, dt, summary { break-after: avoid; } img, tr { break-inside: avoid; }
  details:not([open]) > summary::after { content: " (folded)"; color: var(--soft); }
  .user, .compaction { border: 1px solid var(--line); } a { color: inherit; } }
"""
