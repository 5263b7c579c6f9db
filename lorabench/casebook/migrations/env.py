"""Alembic's way in: it runs this file with the connection that `lorabench.casebook.upgrade` opened."""

from __future__ import annotations

from alembic import context

from lorabench.casebook.schema import VERSION_TABLE


def migrate() -> None:
    """Run what is missing inside the transaction that is open already: all of it, or nothing."""
    context.configure(
        connection=context.config.attributes["connection"],
        version_table=VERSION_TABLE,
        transactional_ddl=True,  # SQLite can, once BEGIN is sent by ourselves
    )
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic runs it; an import does nothing
    migrate()
