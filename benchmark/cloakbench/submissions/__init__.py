"""Submissions: finding them by metadata, loading one by name, and holding its output to the contract.

Nothing here imports torch; `cloakbench.submissions.guard` does, because it runs protections.
"""

from cloakbench.submissions.discovery import GROUP, EntryKind, Listing, Offer, describe_installed, discover, find
from cloakbench.submissions.loading import LoadedEntry, load, load_entry
from cloakbench.submissions.naming import Parameter, Variant, canonical, parse
from cloakbench.submissions.package import package_digest

__all__ = [
    "GROUP",
    "EntryKind",
    "Listing",
    "LoadedEntry",
    "Offer",
    "Parameter",
    "Variant",
    "canonical",
    "describe_installed",
    "discover",
    "find",
    "load",
    "load_entry",
    "package_digest",
    "parse",
]
