"""How a page looks: on a phone, on a screen in light and dark, and in print."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0;
  --shade: #f6f8fa; --link: #0550ae; --alert: #fff3cd; --edge: #b45309;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e6e8eb; --quiet: #9aa4af; --line: #3a424c;
    --shade: #1d2329; --link: #7ab8ff; --alert: #3a2d0b; --edge: #e0a83a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem 1rem 3rem; max-width: 62rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 {
  font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-bottom: 0.25rem;
  border-bottom: 1px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.4rem; }
p, ul { margin: 0.5rem 0; }
ul { padding-left: 1.3rem; }
a { color: var(--link); }
nav { margin: 1rem 0; font-size: 0.95rem; }
nav a { display: inline-block; margin: 0 1rem 0.3rem 0; }
.alert {
  background: var(--alert); border-left: 4px solid var(--edge);
  padding: 0.5rem 0.8rem; margin: 0.6rem 0; font-weight: 600;
}
.wide { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; }
.caption { color: var(--quiet); font-size: 0.85rem; margin-top: -0.4rem; }
th, td {
  padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top;
}
th { background: var(--shade); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
td:not(.number) { min-width: 7rem; }
figure { margin: 1.2rem 0; }
figure img {
  display: block; width: 100%; height: auto; background: #ffffff;
  border: 1px solid var(--line); border-radius: 4px;
}
figcaption { color: var(--quiet); font-size: 0.88rem; margin-top: 0.35rem; }
@media (max-width: 40rem) {
  body { padding: 0.6rem 0.7rem 2rem; font-size: 15px; }
  .picture { overflow-x: auto; }
  .picture img { width: 44rem; max-width: none; }
  th, td { padding: 0.3rem 0.45rem; }
}
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --quiet: #444444; --line: #bbbbbb;
    --shade: #f2f2f2; --link: #000000; --alert: #fff3cd; --edge: #b45309;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .wide, .picture { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.15rem 0.3rem; }
  td:not(.number) { min-width: 0; }
  figure, tr, .alert { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .alert, th { print-color-adjust: exact; }
}
""".strip()
