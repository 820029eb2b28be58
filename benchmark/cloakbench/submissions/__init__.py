"""Submissions: finding them by metadata, loading one by name, and holding its output to the contract.

Nothing here imports torch; `cloakbench.submissions.guard` does, because it runs protections.
"""

from cloakbench.submissions.discovery import GROUP, Listing, Offer, discover, find
from cloakbench.submissions.loading import LoadedProtection, load
from cloakbench.submissions.naming import Parameter, Variant, canonical, parse
from cloakbench.submissions.package import package_digest

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
