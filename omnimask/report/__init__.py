"""The report that a run ends with."""

from omnimask.report.write import write_report as write_report
