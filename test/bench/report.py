"""What was measured, as a table, as JSON, and as one HTML file that needs nothing else."""
import html
import json

BAR_WIDTH = 260
MET, MISSED, INFO = "met", "MISSED", ""


def number(value):
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value)}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


class Report:
    def __init__(self):
        self.facts = {}
        self.results = {}
        self.goals = []
        self.failures = []
        self.left_out = []
        self.section = ""

    def begin(self, section):
        self.section = section

    def add(self, name, data):
        self.results[name] = data

    def goal(self, name, value, unit, sense, limit, note=""):
        """`sense`: "<=" or ">="; None where the figure only stands beside others."""
        verdict = INFO
        if sense:
            met = value <= limit if sense == "<=" else value >= limit
            verdict = MET if met else MISSED
        self.goals.append({"section": self.section, "name": name, "value": value, "unit": unit,
                           "sense": sense, "goal": limit if sense else None, "verdict": verdict, "note": note})

    def fail(self, name, why):
        self.failures.append({"name": name, "why": why})

    def leave_out(self, name, why):
        """What this run was not meant to measure."""
        self.left_out.append({"name": name, "why": why})

    def document(self):
        return {**self.facts, "goals": self.goals, "failures": self.failures,
                "left_out": self.left_out, "results": self.results}

    # --- text ---

    def head(self):
        machine = self.facts["machine"]
        build = ", ".join(f"{key}={value}" for key, value in sorted(machine["build"].items()) if value)
        lines = [f"{machine['version']}, {self.facts['command']}, {self.facts['started']}, "
                f"{self.facts['seconds']:.0f} s",
                f"{machine['cpus']} x {machine['cpu']}, Linux {machine['kernel']}, {build}",
                f"load at start {machine['load']:.1f}, steal {self.facts['steal_percent']:.1f} %"]
        if machine["load"] > machine["cpus"] / 2:
            lines.append("The machine had other work: verdicts of this run may not repeat.")
        return lines

    def table(self):
        lines, section = self.head(), None
        width = max(len(goal["name"]) for goal in self.goals) if self.goals else 0
        for goal in self.goals:
            if goal["section"] != section:
                section = goal["section"]
                lines += ["", section]
            wanted = f"{goal['sense']} {number(goal['goal'])}" if goal["sense"] else ""
            lines.append(f"  {goal['name']:{width}}  {number(goal['value']):>8} {goal['unit']:6}"
                         f" {wanted:>8}  {goal['verdict']:6}  {goal['note']}".rstrip())
        for failure in self.failures:
            lines.append(f"NOT MEASURED {failure['name']}: {failure['why']}")
        lines += [f"left out: {one['name']}: {one['why']}" for one in self.left_out]
        judged = [goal["verdict"] for goal in self.goals if goal["verdict"]]
        lines += ["", f"goals: {judged.count(MET)} met, {judged.count(MISSED)} missed, "
                      f"{len(self.failures)} not measured"]
        return "\n".join(lines)

    # --- HTML ---

    def bar(self, goal):
        """The value as a bar, the goal as a line."""
        limit = goal["goal"] or 0
        top = max(goal["value"], limit, 1e-9) * 1.15
        length = max(0.0, goal["value"]) / top * BAR_WIDTH
        colour = {MET: "#2a7", MISSED: "#c43", INFO: "#789"}[goal["verdict"]]
        line = ""
        if goal["sense"]:
            at = limit / top * BAR_WIDTH
            line = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="16" stroke="#000" stroke-width="2"/>'
        return (f'<svg width="{BAR_WIDTH}" height="16" role="img">'
                f'<rect width="{length:.1f}" y="2" height="12" fill="{colour}"/>{line}</svg>')

    def row(self, goal):
        wanted = f"{goal['sense']} {number(goal['goal'])}" if goal["sense"] else ""
        cells = [goal["section"], goal["name"], f"{number(goal['value'])} {goal['unit']}", wanted, goal["verdict"]]
        text = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        return f"<tr>{text}<td>{self.bar(goal)}</td><td>{html.escape(goal['note'])}</td></tr>"

    def html(self):
        failures = "".join(f"<p><b>Not measured</b> {html.escape(one['name'])}: "
                           f"{html.escape(one['why'])}</p>" for one in self.failures)
        failures += "".join(f"<p>Left out {html.escape(one['name'])}: {html.escape(one['why'])}</p>"
                            for one in self.left_out)
        head = "<br>".join(html.escape(line) for line in self.head())
        raw = html.escape(json.dumps(self.document(), indent=1))
        rows = "\n".join(self.row(goal) for goal in self.goals)
        return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Weir: benchmark</title>
<style>
body {{ font: 14px sans-serif; margin: 2em; }}
td, th {{ padding: 2px 10px; text-align: left; border-bottom: 1px solid #ddd; }}
table {{ border-collapse: collapse; }}
</style>
<h1>Weir: benchmark</h1><p>{head}</p>{failures}
<p>The bar is the value, the black line the goal.</p>
<table><tr><th></th><th>what</th><th>value</th><th>goal</th><th></th><th></th><th></th></tr>
{rows}
</table>
<details><summary>Everything measured, as JSON</summary><pre>{raw}</pre></details>
</html>
"""
