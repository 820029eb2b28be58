"""Submissions: finding them by metadata, loading one by name, and holding its output to the contract.

Nothing here imports torch; `benchmark.submissions.guard` does, because it runs protections.
"""

from benchmark.submissions.discovery import GROUP, Listing, Offer, discover, find
from benchmark.submissions.loading import LoadedProtection, load
from benchmark.submissions.naming import Parameter, Variant, canonical, parse
from benchmark.submissions.package import package_digest

__all__ = [
    "GROUP",
    "Listing",
    "LoadedProtection",
    "Offer",
    "Parameter",
    "Variant",
    "canonical",
    "discover",
    "find",
    "load",
    "package_digest",
    "parse",
]
