"""Audit of a data set, ours or another's: leaks, broken images, contradictions."""

from imaxray.audit._material import Finding
from imaxray.audit._report import AuditReport, audit
from imaxray.audit.checks import CHECKS, Check

__all__ = ["CHECKS", "AuditReport", "Check", "Finding", "audit"]
