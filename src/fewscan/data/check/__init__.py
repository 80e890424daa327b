"""The integrity check: every problem of every case at once, each with its file and how to mend it.

Read the modules in this order: `problem` (what a finding is), `nifti_header`, `scan_size`, `image_content`,
`label_content` and `geometry_pairs` (pure checks of one thing each), `case_check` (all of them on one case),
`dataset_level` (what shows only across cases), `summary` and `report` (what the user sees), `checker` (which runs all).
"""

from fewscan.data.check.checker import check_dataset, check_path
from fewscan.data.check.problem import Problem, Severity
from fewscan.data.check.report import CheckReport

__all__ = ["CheckReport", "Problem", "Severity", "check_dataset", "check_path"]
