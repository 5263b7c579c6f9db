"""The case book: what is kept of every adapter somebody looked at; nothing in it is ever overwritten.

One SQLite file, or a PostgreSQL database that several people share. A case belongs to one adapter
(by its sha256) and holds every scan whole, every note and every decision. The tables refuse
changes and deletions themselves (`migrations`). Values are in `lorabench.results.cases`.
"""

from lorabench.casebook.book import CaseBook

__all__ = ["CaseBook"]
