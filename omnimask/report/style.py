"""The report's style sheet."""

CSS = """
:root { color-scheme: light dark; --ink: #111827; --soft: #4b5563; --line: #e5e7eb;
  --page: #f8fafc; --card: #ffffff; --accent: #2563eb; --warn: #fffbeb; --warn-line: #fde68a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --soft: #a3adbb; --line: #2f3947; --page: #0f151d; --card: #18202b;
    --accent: #7aa7ff; --warn: #33290f; --warn-line: #6b5316; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 32px 24px 64px; }
header h1 { font-size: 30px; margin: 0 0 2px; letter-spacing: -0.02em; }
header p { margin: 0; color: var(--soft); }
h2 { font-size: 20px; margin: 0 0 4px; letter-spacing: -0.01em; }
h3 { font-size: 16px; margin: 26px 0 6px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 22px 24px; margin-top: 20px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 20px; }
.fact { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 12px 16px; }
.fact .value { font-size: 21px; font-weight: 650; letter-spacing: -0.01em; }
.fact .what { color: var(--soft); font-size: 13px; }
nav { margin-top: 14px; }
nav a { color: var(--accent); text-decoration: none; margin-right: 16px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 10px 0 4px; font-size: 14px; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line);
  vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); }
th, td { padding: 7px 12px 7px 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.small { color: var(--soft); font-size: 12.5px; }
.strong { font-weight: 650; }
.bar { display: block; height: 5px; border-radius: 3px; background: var(--line); margin-top: 3px;
  overflow: hidden; min-width: 84px; }
.bar span { display: block; height: 100%; background: var(--accent); }
.bar.other span { background: #94a3b8; }
.bar.over span { background: #f59e0b; }
p.note { color: var(--soft); font-size: 13.5px; margin: 6px 0; max-width: 92ch; }
p.warning { background: var(--warn); border: 1px solid var(--warn-line); border-radius: 8px;
  padding: 8px 12px; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr));
  gap: 18px 28px; align-items: start; margin-top: 10px; }
figure { margin: 0; min-width: 0; overflow-x: auto; }
figure:has(details[open]) { grid-column: 1 / -1; }
figure:has(details[open]) > img { max-width: 780px; }
@media (max-width: 560px) {
  main { padding: 20px 10px 40px; }
  section { padding: 16px 12px; border-radius: 8px; }
  figure > img { min-width: 480px; }
}
figcaption { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
/* Pictures are made for white paper. */
img { max-width: 100%; height: auto; display: block; background: white; border-radius: 6px; }
.map { background: white; border-radius: 6px; }
audio { height: 32px; vertical-align: middle; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--accent); }
pre { background: #0f172a; color: #e2e8f0; border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
"""
