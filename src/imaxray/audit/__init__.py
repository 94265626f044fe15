"""Audits a dataset of this or another project for leaks, broken images and contradictions."""

from imaxray.audit.audit_input import AuditIssue
from imaxray.audit.checks import CHECKS, Check
from imaxray.audit.report import AuditReport, audit_dataset

__all__ = ["CHECKS", "AuditIssue", "AuditReport", "Check", "audit_dataset"]
